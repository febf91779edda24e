/** What the routes of trading share: who calls, whether there is an engine, and how they are described. */
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { errorsOf } from '#core/errors';
import { type Shown, type TradingOperations, tradingErrors, tradingLimits } from '#matching/trading/contract';
import type { Access } from '../access.ts';
import type { ApiPermission } from '../keys/contract.ts';
import type { Plain } from '../stream/views.ts';
import { accountOf, requirePermission, type TradingCaller } from '../trading-auth.ts';

const fail = errorsOf(tradingErrors);

/** Of a route that takes signed requests too. */
export const signable = { signable: true } as const;
/** In openapi.json: a token, or all three headers. */
export const security: Readonly<Record<string, readonly string[]>>[] = [
  { bearer: [] },
  { signatureKey: [], signatureTimestamp: [], signature: [] },
];

export const pageLimit = z.coerce.number().int().min(1).max(tradingLimits.pageRows).default(100);
export const orderId = z.string().regex(/^[1-9][0-9]{0,15}$/, 'an order id: digits');
export const tradeId = z.string().regex(/^[0-9]{1,16}-[0-9]{1,10}$/, 'a trade id: <seq>-<index>');

/** Read-only views become the mutable shape the serializer's type asks for; nothing is changed. */
export const plain = <T>(view: T): Plain<T> => view as Plain<T>;

/** With whether it is the engine's present state: a picture of an engine that is away does not look like one that is there. */
export const shown = <T extends object>(trading: TradingOperations, view: T): Plain<Shown<T>> =>
  plain({ ...view, engine: trading.engineStatus().engine });

export interface TradingAccess {
  /** @throws TRADING_UNAVAILABLE when no engine is configured */
  readonly trading: () => TradingOperations;
  /** @throws API_FORBIDDEN */
  readonly allowed: (request: FastifyRequest, permission: ApiPermission) => TradingCaller;
  /** The account that an allowed request is for. @throws API_FORBIDDEN, API_ACCOUNT_FORBIDDEN, API_ACCOUNT_NEEDED */
  readonly account: (
    request: FastifyRequest,
    permission: ApiPermission,
    accountId: string | undefined,
  ) => ReturnType<typeof accountOf>;
}

export function tradingAccess(access: Access, operations: TradingOperations | undefined): TradingAccess {
  const allowed = (request: FastifyRequest, permission: ApiPermission): TradingCaller => {
    const caller = access.caller(request);
    requirePermission(caller, permission);
    return caller;
  };
  return {
    trading: () => {
      if (operations === undefined) throw fail('TRADING_UNAVAILABLE', 'this api has no engine configured');
      return operations;
    },
    allowed,
    account: (request, permission, accountId) => accountOf(allowed(request, permission), accountId),
  };
}
