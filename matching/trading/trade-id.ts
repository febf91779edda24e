/** Ids of trades: `<seq>-<index>` of the event, unique in its engine. Pure. */
import { errorsOf } from '#core/errors';
import type { EventPlace } from '../settlement/settlement-events.ts';
import { tradingErrors } from './errors.ts';

const fail = errorsOf(tradingErrors);
/** Numbers of commands are below 10^15, which a million a second reach in thirty years; indexes of events are below 2^24. */
const pattern = /^(?<seq>[1-9][0-9]{0,14})-(?<index>0|[1-9][0-9]{0,7})$/;

export const tradeId = ({ seq, index }: EventPlace): string => `${seq}-${index}`;

/** @throws TRADING_NUMBER_INVALID */
export function parseTradeId(text: string): EventPlace {
  const { seq, index } = pattern.exec(text)?.groups ?? {};
  if (seq === undefined || index === undefined)
    throw fail('TRADING_NUMBER_INVALID', `"${text.slice(0, 40)}" is not the id of a trade, such as 1234-1`, {
      tradeId: text.slice(0, 40),
    });
  return { seq: Number.parseInt(seq, 10), index: Number.parseInt(index, 10) };
}
