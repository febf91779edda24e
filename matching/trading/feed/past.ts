/** Candles and trades that are asked for: what memory has, and before it what is settled. Each trade counts once. */
import { errorsOf } from '#core/errors';
import { type EventPlace, isBefore, wholeCommand } from '../../settlement/settlement-events.ts';
import {
  type CandleInterval,
  type CandleView,
  candleIntervalMs,
  type TradeView,
  tradingLimits,
} from '../contract.ts';
import { tradingErrors } from '../errors.ts';
import { parseTradeId } from '../trade-id.ts';
import { type PublicTrade, tradeView } from '../views.ts';
import { Candle } from './candle.ts';
import type { HistoryLoader, SettledHistory } from './history.ts';
import type { MarketState } from './market.ts';

const fail = errorsOf(tradingErrors);

export interface CandlesAsked {
  readonly interval: CandleInterval;
  readonly fromMs?: number;
  readonly toMs?: number;
  readonly limit: number;
}
export interface TradesAsked {
  readonly before?: string;
  readonly limit: number;
}
interface Past {
  readonly state: MarketState;
  readonly history: SettledHistory;
  readonly loader: HistoryLoader;
}

export async function candlesIn(
  { state, history, loader }: Past,
  { interval, fromMs = 0, toMs = Number.MAX_SAFE_INTEGER, limit: asked }: CandlesAsked,
): Promise<readonly CandleView[]> {
  const { series, scale } = state;
  const intervalMs = candleIntervalMs[interval];
  const limit = Math.min(asked, tradingLimits.candles);
  if (!series.isLoaded && fromMs < series.completeFromMs(intervalMs)) await loader.load(state);
  const settledToMs = Math.min(toMs, series.completeFromMs(intervalMs));
  const isLoaded = series.isLoaded;
  const remembered = series.candles(intervalMs, fromMs, toMs).slice(-limit);
  const missing = limit - remembered.length;
  const views = remembered.map((candle) => candle.view(scale));
  if (fromMs >= settledToMs || missing === 0) return views;
  const range = { intervalMs, fromMs, toMs: settledToMs, limit: isLoaded ? missing : limit };
  // Asked first: the newest one that is booked by now may go on, and what follows it is not known; those before it have ended.
  const [newest] = isLoaded ? [] : await history.candles(scale.no, { intervalMs, ...always, limit: 1 });
  const rows = await history.candles(scale.no, range);
  const settled = rows.map((row) => Candle.of(row, scale.config.tickUnits));
  if (isLoaded) return [...settled.map((candle) => candle.view(scale)), ...views];
  const beforeMs = newest?.startMs ?? 0;
  return settled.filter(({ startMs }) => startMs < beforeMs).map((candle) => candle.view(scale));
}
const always = { fromMs: 0, toMs: Number.MAX_SAFE_INTEGER } as const;

export async function tradesIn(
  { state, history, loader }: Past,
  { before, limit: asked }: TradesAsked,
): Promise<readonly TradeView[]> {
  const { recent, scale } = state;
  const limit = Math.min(asked, tradingLimits.pageRows);
  const place = before === undefined ? undefined : parseTradeId(before);
  const { after } = recent;
  const found: PublicTrade[] = recent.newest(place, limit);
  if (found.length < limit) {
    // Memory ends here: what was traded up to `after` is to be booked before it can be read.
    const upTo = place === undefined || isBefore(after, place) ? after : placeBefore(place);
    if (!(await loader.reaches(upTo)))
      throw fail('TRADING_UNAVAILABLE', `${scale.id}: trades up to ${upTo.seq} are not booked yet`, {
        market: scale.id,
      });
    const oldest = found.at(-1);
    const older = await history.trades(scale.no, {
      limit: limit - found.length,
      before: oldest ?? placeAfter(upTo),
    });
    found.push(...older);
  }
  return found.map((trade) => tradeView(trade, scale));
}

const placeBefore = ({ seq, index }: EventPlace): EventPlace =>
  index === 0 ? { seq: seq - 1, index: wholeCommand } : { seq, index: index - 1 };
const placeAfter = ({ seq, index }: EventPlace): EventPlace =>
  index === wholeCommand ? { seq: seq + 1, index: 0 } : { seq, index: index + 1 };
