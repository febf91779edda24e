/**
 * A coordinator that lies: it stands between the honest coordinator and the co-signers and changes what passes. Product
 * code has no switch for this; a lie is a transport of its own.
 */
import type { CommitteeFile, Envelope, StepAnswer } from '#custody/protocol';
import { createHttpTransport, type SignerTransport } from '../../custody/coordinator/transport.ts';

export interface Passing {
  readonly party: number;
  readonly path: string;
  readonly body: unknown;
}
/** What is sent instead; the answer is changed by `onAnswer`. */
export interface Lie {
  readonly onRequest?: (passing: Passing) => unknown;
  readonly onAnswer?: (passing: Passing, answer: unknown) => unknown;
}

export function lyingTransport(committee: CommitteeFile, lie: Lie): SignerTransport & { close: () => void } {
  const honest = createHttpTransport(committee);
  const transport: SignerTransport = async (party, method, path, body) => {
    const passing = { party, path, body };
    const sent = body === undefined || lie.onRequest === undefined ? body : lie.onRequest(passing);
    const answer = await honest(party, method, path, sent);
    return lie.onAnswer === undefined ? answer : lie.onAnswer(passing, answer);
  };
  return Object.assign(transport, { close: honest.close });
}

interface OpenBody {
  readonly session: string;
  readonly request: { readonly unsigned: string };
}
const isOpen = (body: unknown): body is OpenBody =>
  typeof body === 'object' && body !== null && 'request' in body;

/** Puts other unsigned bytes in the place of those that were approved: the destination swapped after approval. */
export function swapDestination(from: string, to: string): Lie {
  const [approved, swapped] = [from, to].map((address) => address.replace(/^0x/, '').toLowerCase());
  return {
    onRequest: ({ path, body }) => {
      if (path !== '/v1/sign/open' || !isOpen(body)) return body;
      const unsigned = body.request.unsigned.replace(approved ?? '', swapped ?? '');
      return { ...body, request: { ...body.request, unsigned } };
    },
  };
}

const isStepAnswer = (answer: unknown): answer is StepAnswer =>
  typeof answer === 'object' && answer !== null && 'state' in answer;

/** Changes envelopes on their way out of a co-signer. */
export function changeEnvelopes(change: (envelope: Envelope, passing: Passing) => Envelope): Lie {
  return {
    onAnswer: (passing, answer) =>
      isStepAnswer(answer) && answer.state === 'more'
        ? { ...answer, envelopes: answer.envelopes.map((envelope) => change(envelope, passing)) }
        : answer,
  };
}

/** One bit of the payload. */
export function flipPayload(envelope: Envelope): Envelope {
  const payload = Buffer.from(envelope.payload, 'base64');
  payload[payload.length - 1] = (payload[payload.length - 1] ?? 0) ^ 1;
  return { ...envelope, payload: payload.toString('base64') };
}
