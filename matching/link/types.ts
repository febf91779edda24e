/**
 * The link between the process of the engine and a process that offers trading (the api). The engine's process sends a snapshot
 * and then every durable command in order; the other side runs them through an engine of its own, whose state is therefore the
 * engine's, and whose hash must be. So nothing about the book has to be asked over the network, and a wrong picture is noticed.
 */
import type { CommandBody } from '../commands.ts';
import type { EngineConfig } from '../config.ts';
import type { Engine } from '../engine/index.ts';
import type { EngineEvent, EventSlots } from '../events.ts';

/** The engine as it is after the last durable command that arrived; read only. */
export type EngineView = Pick<
  Engine,
  | 'seq'
  | 'timeMs'
  | 'openOrders'
  | 'stateHash'
  | 'balance'
  | 'levels'
  | 'level'
  | 'order'
  | 'ordersOf'
  | 'market'
  | 'account'
>;

export interface LinkListener {
  /**
   * A portion of durable commands was applied; the view is at their end. Slots 0 to count - 1 hold their events in the order of
   * (sequence, index), without a gap to those before; only during the call.
   */
  readonly onEvents: (events: EventSlots, count: number) => void;
  /**
   * The view could not be continued and begins anew with a snapshot (also the first time): what was derived from events is to be
   * derived from the view again. Events after its `seq` follow.
   */
  readonly onReset: () => void;
  /**
   * `connected` of the state has changed. After a connection was lost it is true again when the view has everything the engine had
   * when it was reached: all events up to there, or a reset, came before.
   */
  readonly onConnected?: (connected: boolean) => void;
}

export interface LinkState {
  readonly connected: boolean;
  /** Why it is not, if that is known: what the last connection ended with. */
  readonly problem?: string;
  /** Of the primary we follow; 0 before the first connection. */
  readonly epoch: number;
  /** Whether the settlement is so far behind that new orders are refused. */
  readonly settlementLags: boolean;
}

export interface EngineLink {
  readonly config: EngineConfig;
  /** Name under which the engine is settled (`matching.engine`). */
  readonly engineName: string;
  /** Replaced at a reset: ask for it each time. @throws MATCHING_LINK_DOWN before the first snapshot */
  readonly view: () => EngineView;
  readonly state: () => LinkState;
  /**
   * @returns the command's events, when it is durable and the view has it
   * @throws MATCHING_LINK_DOWN (not sent), MATCHING_BUSY, MATCHING_SETTLEMENT_LAGS (place and amend; not taken),
   * MATCHING_STOPPED (not taken), MATCHING_COMMAND_LATE (not taken), MATCHING_OUTCOME_UNKNOWN (the connection was lost after it was
   * sent: whether it was taken is seen in the view once it is back)
   */
  readonly submit: (command: CommandBody, bound?: TakenBy) => Promise<readonly EngineEvent[]>;
  /** All in one piece and one after the other, nothing of others between them. At most `linkBatchMax`. */
  readonly submitAll: (
    commands: readonly CommandBody[],
    bound?: TakenBy,
  ) => Promise<readonly (readonly EngineEvent[])[]>;
  /** @returns ends it */
  readonly subscribe: (listener: LinkListener) => () => void;
  /** Resolves when the first snapshot is there. */
  readonly ready: () => Promise<void>;
  readonly close: () => Promise<void>;
}

/** However long it was on its way, and however old the view was that it was sent by. */
export interface TakenBy {
  /** The greatest sequence number that a command may get; else all of them are refused. The engine's process holds it. */
  readonly lastSeq: number;
}

/** Commands of one submission. */
export const linkBatchMax = 256;
