/** Fills of an account as they are settled, newest first. */
import { invariant } from '#core/errors';
import type { Queryable } from '#infra/db';
import { fillsOf } from '../settlement/history.ts';
import type { SettledEngine } from '../settlement/store.ts';
import type { TradingAccounts } from './accounts.ts';
import { type FillView, type TradingOperations, tradingLimits } from './contract.ts';
import type { Scales } from './scale.ts';
import { parseTradeId } from './trade-id.ts';
import { ownFillView } from './views.ts';

export interface FillsContext {
  readonly pool: Queryable;
  readonly engine: Pick<SettledEngine, 'no'>;
  readonly scales: Scales;
  readonly accounts: TradingAccounts;
}

export const createFills =
  ({ pool, engine, scales, accounts }: FillsContext): TradingOperations['fills'] =>
  async ({ accountId, market, before, limit }): Promise<readonly FillView[]> => {
    const only = market === undefined ? undefined : scales.market(market).no;
    const place = before === undefined ? undefined : parseTradeId(before);
    const account = await accounts.numberOf(accountId);
    if (account === undefined) return [];
    const rows = await fillsOf(pool, engine, account, {
      ...(only === undefined ? {} : { market: only }),
      ...(place === undefined ? {} : { before: place }),
      limit: Math.min(limit, tradingLimits.pageRows),
    });
    return rows.map((row) => {
      const scale = scales.markets[row.market];
      invariant(scale !== undefined, 'a fill is in a market of the configuration', { market: row.market });
      return ownFillView(row, scale, accountId);
    });
  };
