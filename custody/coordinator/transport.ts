/** How the coordinator reaches a co-signer: JSON over HTTP with kept connections. Tests put their own in its place. */
import { Agent, request as httpRequest } from 'node:http';
import { errorsOf, messageOf, StrongroomError } from '#core/errors';
import { type CommitteeFile, custodyErrors, errorAnswerSchema, requestBytesMax } from '#custody/protocol';

const fail = errorsOf(custodyErrors);

/** A round of a key ceremony on a loaded machine; a signing step takes 20 ms. */
const timeoutMs = { dkg: 120_000, other: 10_000 } as const;
/** What is kept of a text in a co-signer's error; it goes into our logs and cases, and the co-signer may be hostile. */
const errorTextCharactersMax = 2_000;
/** Kept connections per co-signer: as many signatures in flight as one core can serve. */
const socketsMax = 64;

/** One call. @throws CUSTODY_SIGNER_UNREACHABLE, or the co-signer's own error */
export interface SignerTransport {
  (party: number, method: 'GET' | 'POST', path: string, body?: unknown): Promise<unknown>;
  /** Lets go of kept connections. */
  readonly close?: () => void;
}

const codeDefinitions: Readonly<Record<string, (typeof custodyErrors)[keyof typeof custodyErrors]>> =
  custodyErrors;

/** The co-signer's error with our catalogue's kind; details from outside are taken only where they are plain. */
function errorOf(party: number, text: string): StrongroomError {
  let parsed: ReturnType<typeof errorAnswerSchema.safeParse>;
  try {
    parsed = errorAnswerSchema.safeParse(JSON.parse(text));
  } catch {
    return fail('CUSTODY_SIGNER_UNREACHABLE', `party ${party} gave an answer that is not JSON`, { party });
  }
  if (!parsed.success)
    return fail('CUSTODY_SIGNER_UNREACHABLE', `party ${party} gave no error code`, { party });
  const { code, message } = parsed.data;
  const details: Record<string, string | number | boolean> = {};
  for (const [name, value] of Object.entries(parsed.data.details)) {
    if (typeof value === 'string') details[name] = value.slice(0, errorTextCharactersMax);
    else if (typeof value === 'number' || typeof value === 'boolean') details[name] = value;
  }
  const definition = Object.hasOwn(codeDefinitions, code) ? codeDefinitions[code] : undefined;
  return new StrongroomError(code, message.slice(0, errorTextCharactersMax), {
    kind: definition?.kind ?? 'aborted',
    // `party` in the details may name the blamed one; `signer` is who says so.
    details: { party, ...details, signer: party },
    retryable: definition !== undefined && 'retryable' in definition,
  });
}

export function createHttpTransport(committee: CommitteeFile): SignerTransport & { close: () => void } {
  const agent = new Agent({ keepAlive: true, maxSockets: socketsMax, noDelay: true });
  const urlOf = new Map(committee.members.map((member) => [member.party, member.url]));

  const call: SignerTransport = async (party, method, path, body) => {
    const base = urlOf.get(party);
    if (base === undefined)
      throw fail('CUSTODY_SIGNER_UNREACHABLE', `the committee has no party ${party}`, { party });
    const text = body === undefined ? undefined : JSON.stringify(body);
    const { status, answer } = await exchange(agent, new URL(path, base), method, text).catch(
      (error: unknown) => {
        throw fail('CUSTODY_SIGNER_UNREACHABLE', `party ${party}: ${messageOf(error)}`, { party }, error);
      },
    );
    if (status !== 200) throw errorOf(party, answer);
    return JSON.parse(answer) as unknown;
  };
  return Object.assign(call, {
    close: () => {
      agent.destroy();
    },
  });
}

async function exchange(
  agent: Agent,
  url: URL,
  method: string,
  body: string | undefined,
): Promise<{ status: number; answer: string }> {
  return await new Promise((resolve, reject) => {
    const headers =
      body === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const timeout = url.pathname.startsWith('/v1/dkg/') ? timeoutMs.dkg : timeoutMs.other;
    const request = httpRequest(url, { agent, method, headers }, (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > requestBytesMax) response.destroy(new Error('the answer is too large'));
        else chunks.push(chunk);
      });
      response.on('error', reject);
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, answer: Buffer.concat(chunks).toString('utf8') });
      });
      response.on('close', () => {
        if (!response.complete) reject(new Error('the answer was cut off'));
      });
    });
    request.setTimeout(timeout, () => request.destroy(new Error(`no answer within ${timeout} ms`)));
    request.on('error', reject);
    request.end(body);
  });
}
