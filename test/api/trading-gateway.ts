/** A gateway that listens, with keys in a real database and an engine that is a recorder: it has its own tests. */
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { Id } from '#core/ids';
import { openPool, type Pool } from '#infra/db';
import type { TradingOperations } from '#matching/trading/contract';
import { createAuthenticate, tokenDigest } from '../../api/auth.ts';
import { apiRoles } from '../../api/config.ts';
import type { ApiPermission, RateTier } from '../../api/keys/contract.ts';
import { type ApiKeys, createApiKeys } from '../../api/keys/store.ts';
import { buildServer, type ServerOptions } from '../../api/server.ts';
import { createTradingAuth, type TradingAuth } from '../../api/trading-auth.ts';
import { type Answer, type Holder, newHolder, nextMs, send, signedBy, type Unsigned } from './signing.ts';

export type Role = (typeof apiRoles)[number];
const tokenOf = (role: Role): string => role.padEnd(43, '-');
export const testTokens = {
  tokens: apiRoles.map((role) => ({ name: `${role}-desk`, role, sha256: tokenDigest(tokenOf(role)) })),
};

export interface Gateway {
  readonly app: FastifyInstance;
  readonly port: number;
  readonly pool: Pool;
  readonly keys: ApiKeys;
  readonly auth: TradingAuth;
  readonly as: (role: Role, request: Omit<Unsigned, 'body'> & { readonly body?: object }) => Promise<Answer>;
  readonly by: (
    holder: Holder,
    request: Omit<Unsigned, 'body'> & { readonly body?: object },
  ) => Promise<Answer>;
  readonly holder: (options: {
    readonly accounts: readonly Id<'acc'>[];
    readonly permissions?: readonly ApiPermission[];
    readonly rateTier?: RateTier;
  }) => Promise<Holder>;
  readonly close: () => Promise<void>;
}

export async function openGateway(options: {
  readonly databaseUrl: string;
  readonly trading?: TradingOperations;
  readonly operations?: ServerOptions['operations'];
  readonly probes?: ServerOptions['probes'];
  readonly trustedProxies?: readonly string[];
}): Promise<Gateway> {
  const pool = openPool({ connectionString: options.databaseUrl, applicationName: 'test' });
  const keys = createApiKeys({ pool });
  const authenticate = createAuthenticate(testTokens);
  // Tests sign some milliseconds ahead, and some at the moment of the start.
  const started = Date.now() - 10_000;
  let first = true;
  const clock = {
    nowMs: () => {
      const at = first ? started : Date.now();
      first = false;
      return at;
    },
  };
  const auth = createTradingAuth({ authenticate, keys, clock });
  const app = await buildServer({
    operations: options.operations ?? ({} as ServerOptions['operations']),
    authenticate,
    keys,
    auth,
    trading: options.trading,
    assets: [
      { asset: 'eip155:31337/slip44:60', chain: 'eip155:31337', decimals: 18 },
      { asset: 'ledger:usd', chain: null, decimals: 2 },
    ],
    probes: options.probes ?? {},
    trustedProxies: options.trustedProxies ?? [],
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const plain = ({ method, url, body }: { method: string; url: string; body?: object }): Unsigned => ({
    method,
    url,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return {
    app,
    port,
    pool,
    keys,
    auth,
    as: async (role, request) =>
      await send(port, plain(request), { authorization: `Bearer ${tokenOf(role)}` }),
    by: async (holder, request) => {
      const unsigned = plain(request);
      return await send(port, unsigned, signedBy(holder, unsigned, nextMs()));
    },
    holder: async ({ accounts, permissions = ['read', 'trade', 'transfer'], rateTier = 'market-maker' }) => {
      const holder = newHolder();
      const { id, publicKey } = holder;
      await keys.register({ id, name: 'of a test', publicKey, accounts, permissions, rateTier }, 'a test');
      return holder;
    },
    close: async () => {
      await app.close();
      await pool.end();
    },
  };
}
