/** Commands to the engine, and its errors in the words of trading. */
import { errorsOf, invariant, isStrongroomError } from '#core/errors';
import type { CommandBody } from '../commands.ts';
import { type EngineEvent, readEvent } from '../events.ts';
import type { EngineLink, EngineView, TakenBy } from '../link/types.ts';
import type { RejectReason } from '../vocabulary.ts';
import { tradingErrors } from './errors.ts';
import { type Explanation, rejection } from './rejections.ts';
import type { Scales } from './scale.ts';

const fail = errorsOf(tradingErrors);

const codes: Readonly<Record<string, keyof typeof tradingErrors>> = {
  MATCHING_LINK_DOWN: 'TRADING_UNAVAILABLE',
  MATCHING_LINK_REFUSED: 'TRADING_UNAVAILABLE',
  MATCHING_STOPPED: 'TRADING_UNAVAILABLE',
  MATCHING_COMMAND_LATE: 'TRADING_UNAVAILABLE',
  MATCHING_BUSY: 'TRADING_BUSY',
  MATCHING_SETTLEMENT_LAGS: 'TRADING_SETTLEMENT_LAGS',
  MATCHING_OUTCOME_UNKNOWN: 'TRADING_OUTCOME_UNKNOWN',
};

/** What the link threw, as the api answers it; anything else stays as it is. */
function tradingError(error: unknown): unknown {
  const code = isStrongroomError(error) ? codes[error.code] : undefined;
  return code === undefined ? error : fail(code, tradingErrors[code].why, {}, error);
}

export interface EngineCommands {
  /** @throws TRADING_BUSY, TRADING_SETTLEMENT_LAGS, TRADING_UNAVAILABLE, TRADING_OUTCOME_UNKNOWN */
  submit(command: CommandBody, bound?: TakenBy): Promise<readonly EngineEvent[]>;
  /** In one piece; as many answers as commands. @throws as above, for all of them */
  submitAll(commands: readonly CommandBody[]): Promise<readonly (readonly EngineEvent[])[]>;
  /** Of now; asked for again after each wait. @throws TRADING_UNAVAILABLE before the first snapshot */
  view(): EngineView;
  /** Every event from now on, before the answer to its command. @returns ends it */
  listen(listener: (event: EngineEvent) => void): () => void;
}

export const createEngineCommands = (link: EngineLink): EngineCommands => ({
  submit: async (command, bound) => {
    try {
      return await link.submit(command, bound);
    } catch (error) {
      throw tradingError(error);
    }
  },
  submitAll: async (commands) => {
    try {
      return await link.submitAll(commands);
    } catch (error) {
      throw tradingError(error);
    }
  },
  view: () => {
    try {
      return link.view();
    } catch (error) {
      throw tradingError(error);
    }
  },
  listen: (listener) =>
    link.subscribe({
      onEvents: (events, count) => {
        for (let at = 0; at < count; at++) listener(readEvent(events, at));
      },
      onReset: () => undefined,
    }),
});

/**
 * The first event of a command that was taken.
 * @throws TRADING_ORDER_REJECTED, TRADING_ORDER_UNKNOWN for one that was not
 */
export function takenEvent(
  events: readonly EngineEvent[],
  scales: Scales,
  clientOrderId?: string,
  explained?: (reason: RejectReason) => Explanation | undefined,
): Exclude<EngineEvent, { kind: 'rejected' }> {
  const [event] = events;
  invariant(event !== undefined, 'every command gives an event');
  if (event.kind === 'rejected')
    throw rejection(event.reason, {
      market: scales.markets[event.market]?.id,
      clientOrderId,
      explanation: explained?.(event.reason),
    });
  return event;
}
