/** The process's page: `GET /health` for whoever watches it, `POST /takeover` for whoever decides. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { isStrongroomError, messageOf } from '#core/errors';

/** Somebody who sends slowly keeps a connection no longer. */
const requestTimeoutMs = 10_000;

export interface HealthReport {
  /** Whether this process does what it is for: a primary takes new orders, a standby follows. */
  readonly ok: boolean;
  readonly role: 'primary' | 'standby';
  readonly parts: Readonly<Record<string, { readonly ok: boolean }>>;
}
export interface HealthOptions {
  readonly host: string;
  readonly port: number;
  /** Asked for as bearer by `POST /takeover`. */
  readonly token: string;
  readonly report: () => HealthReport;
  /** Undefined where there is nothing to take over. */
  readonly takeOver: () => Promise<object> | undefined;
}
export interface HealthPage {
  readonly port: number;
  readonly close: () => Promise<void>;
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

function isAllowed({ headers }: IncomingMessage, token: string): boolean {
  const given = /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1] ?? '';
  // Of digests, so that neither length nor content shows in the time it takes.
  return timingSafeEqual(digest(given), digest(token));
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

async function takeOver(
  request: IncomingMessage,
  response: ServerResponse,
  options: HealthOptions,
): Promise<void> {
  if (!isAllowed(request, options.token)) {
    answer(response, 401, { problem: 'send the token of the link as bearer' });
    return;
  }
  const taking = options.takeOver();
  if (taking === undefined) {
    answer(response, 409, { problem: 'this process is the primary already' });
    return;
  }
  try {
    answer(response, 200, await taking);
  } catch (error) {
    const code = isStrongroomError(error) ? error.code : undefined;
    answer(response, 500, { code, problem: messageOf(error) });
  }
}

export async function serveHealth(options: HealthOptions): Promise<HealthPage> {
  const server: Server = createServer((request, response) => {
    const { method = '', url = '' } = request;
    if (url === '/health' && method === 'GET') {
      const report = options.report();
      answer(response, report.ok ? 200 : 503, report);
    } else if (url === '/takeover' && method === 'POST') void takeOver(request, response, options);
    else answer(response, 404, { problem: 'GET /health, POST /takeover' });
  });
  server.requestTimeout = requestTimeoutMs;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
