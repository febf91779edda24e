/** Fills of an account as they are settled, newest first. */
import { errorsOf, invariant } from '#core/errors';
import type { Queryable } from '#infra/db';
import { fillsOf } from '../settlement/history.ts';
import type { EventPlace } from '../settlement/settlement-events.ts';
import type { SettledEngine } from '../settlement/store.ts';
import type { TradingAccounts } from './accounts.ts';
import { type FillView, type TradingOperations, tradingLimits } from './contract.ts';
import { tradingErrors } from './errors.ts';
import type { Scales } from './scale.ts';
import { ownFillView } from './views.ts';

const fail = errorsOf(tradingErrors);
/** Numbers of commands are below 2^53, indexes of events below 2^24. */
const tradeIdPattern = /^(?<seq>[1-9][0-9]{0,14})-(?<index>0|[1-9][0-9]{0,7})$/;

/** @throws TRADING_NUMBER_INVALID */
function parseTradeId(text: string): EventPlace {
  const { seq, index } = tradeIdPattern.exec(text)?.groups ?? {};
  if (seq === undefined || index === undefined)
    throw fail('TRADING_NUMBER_INVALID', `"${text.slice(0, 40)}" is not the id of a trade, such as 1234-1`);
  return { seq: Number.parseInt(seq, 10), index: Number.parseInt(index, 10) };
}

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
