/** The CLI's HTTP client. It can do nothing that the API cannot. */
import { readFileSync } from 'node:fs';
import { errorKinds, errorsOf, messageOf, StrongroomError } from '#core/errors';
import { cliErrors } from './contract.ts';

const fail = errorsOf(cliErrors);
const requestTimeoutMs = 30_000;

export interface Connection {
  readonly url: string;
  readonly token: string;
}
export interface ConnectionOptions {
  readonly api?: string;
  readonly tokenFile?: string;
}

/** @throws CLI_NOT_CONNECTED saying which option is missing */
export function connect(options: ConnectionOptions, env: NodeJS.ProcessEnv): Connection {
  const url = options.api ?? env['STRONGROOM_API'];
  const tokenFile = options.tokenFile ?? env['STRONGROOM_TOKEN_FILE'];
  if (url === undefined || url === '')
    throw fail('CLI_NOT_CONNECTED', 'give --api URL or set STRONGROOM_API');
  if (tokenFile === undefined || tokenFile === '')
    throw fail('CLI_NOT_CONNECTED', 'give --token-file FILE or set STRONGROOM_TOKEN_FILE');
  try {
    return { url: url.replace(/\/$/, ''), token: readFileSync(tokenFile, 'utf8').trim() };
  } catch (error) {
    throw fail('CLI_NOT_CONNECTED', `the token file ${tokenFile} cannot be read: ${messageOf(error)}`);
  }
}

interface Problem {
  /** The kind, with a space for its underscore. */
  readonly title: string;
  readonly code: string;
  readonly detail: string;
  readonly whatToDo: string;
  readonly retryable: boolean;
}

interface Ask {
  readonly method: 'GET' | 'PUT' | 'POST';
  readonly path: string;
  readonly body?: unknown;
}

/** Status and JSON of an answer. @throws CLI_NOT_CONNECTED, also when what answers is no api */
async function request(
  connection: Connection,
  { method, path, body }: Ask,
): Promise<{ readonly ok: boolean; readonly status: number; readonly content: unknown }> {
  try {
    const answer = await fetch(`${connection.url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${connection.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(requestTimeoutMs),
    });
    return { ok: answer.ok, status: answer.status, content: await answer.json() };
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? `: ${messageOf(error.cause)}` : '';
    throw fail(
      'CLI_NOT_CONNECTED',
      `${connection.url} does not answer as an api does: ${messageOf(error)}${cause}`,
      {},
      error,
    );
  }
}

/** @throws CLI_NOT_CONNECTED, or the API's own error under its own code */
export async function call<T>(
  connection: Connection,
  method: Ask['method'],
  path: string,
  body?: unknown,
): Promise<T> {
  const { ok, status, content } = await request(connection, { method, path, body });
  if (ok) return content as T;
  const problem = content as Partial<Problem>;
  throw new StrongroomError(problem.code ?? 'API_INTERNAL', problem.detail ?? `HTTP ${status}`, {
    kind: errorKinds.find((kind) => kind === problem.title?.replace(' ', '_')) ?? 'invalid',
    retryable: problem.retryable ?? false,
    ...(problem.whatToDo === undefined ? {} : { whatToDo: problem.whatToDo }),
  });
}

export interface Health {
  readonly ok: boolean;
  readonly parts: Readonly<Record<string, string>>;
}

/** Also when a part is down, which the api answers with 503. @throws CLI_NOT_CONNECTED */
export async function readHealth(connection: Connection): Promise<Health> {
  const { content } = await request(connection, { method: 'GET', path: '/health' });
  return content as Health;
}
