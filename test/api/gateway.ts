/** What a gateway of a test has of trading: tokens, no keys unless it brings them, no engine. */
import type { Authenticate } from '../../api/auth.ts';
import type { ApiKeys } from '../../api/keys/store.ts';
import type { ServerOptions } from '../../api/server.ts';
import { createTradingAuth } from '../../api/trading-auth.ts';

const clock = { nowMs: () => Date.now() };
const noKeys: ApiKeys = {
  register: async () => await Promise.reject(new Error('this test registers no keys')),
  revoke: async () => await Promise.reject(new Error('this test revokes no keys')),
  list: async () => await Promise.resolve([]),
  find: async () => await Promise.resolve(undefined),
};

export function withoutTrading(
  authenticate: Authenticate,
): Pick<ServerOptions, 'authenticate' | 'keys' | 'auth' | 'trading'> {
  const auth = createTradingAuth({ authenticate, keys: noKeys, clock });
  return { authenticate, keys: noKeys, auth, trading: undefined };
}
