/** The CLI's HTTP client. It can do nothing that the API cannot. */
import { readFileSync } from 'node:fs';
import { errorsOf, messageOf, StrongroomError } from '#core/errors';
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
  if (url === undefined) throw fail('CLI_NOT_CONNECTED', 'give --api URL or set STRONGROOM_API');
  if (tokenFile === undefined)
    throw fail('CLI_NOT_CONNECTED', 'give --token-file FILE or set STRONGROOM_TOKEN_FILE');
  try {
    return { url: url.replace(/\/$/, ''), token: readFileSync(tokenFile, 'utf8').trim() };
  } catch (error) {
    throw fail('CLI_NOT_CONNECTED', `the token file ${tokenFile} cannot be read: ${messageOf(error)}`);
  }
}

interface Problem {
  readonly code: string;
  readonly detail: string;
  readonly retryable: boolean;
}

/** @throws CLI_NOT_CONNECTED, or the API's own error under its own code */
export async function call<T>(
  connection: Connection,
  method: 'GET' | 'PUT' | 'POST',
  path: string,
  body?: unknown,
): Promise<T> {
  let answer: Response;
  try {
    answer = await fetch(`${connection.url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${connection.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(requestTimeoutMs),
    });
  } catch (error) {
    throw fail('CLI_NOT_CONNECTED', `${connection.url} does not answer: ${messageOf(error)}`, {}, error);
  }
  const content = (await answer.json()) as unknown;
  if (answer.ok) return content as T;
  const problem = content as Partial<Problem>;
  throw new StrongroomError(problem.code ?? 'API_INTERNAL', problem.detail ?? `HTTP ${answer.status}`, {
    kind: 'invalid',
    retryable: problem.retryable ?? false,
  });
}
