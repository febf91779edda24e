/** The events that move value, read from the engine's words; the others only count. */
import { detailBits, type EventSlots, eventBytes, eventFlags, eventFloat64, eventInt32 } from '../events.ts';
import { eventKinds } from '../vocabulary.ts';

/** Where an event stands: command, and index within it. */
export interface EventPlace {
  readonly seq: number;
  readonly index: number;
}
export interface SettledTrade extends EventPlace {
  readonly kind: 'trade';
  /** Milliseconds since 1970. */
  readonly timeMs: number;
  readonly market: number;
  readonly price: number;
  readonly lots: number;
  readonly takerBuys: boolean;
  readonly auction: boolean;
  readonly taker: number;
  readonly maker: number;
  readonly takerOrder: number;
  readonly makerOrder: number;
  readonly takerFee: number;
  readonly makerFee: number;
}
export interface Movement extends EventPlace {
  readonly kind: 'credited' | 'debited';
  readonly account: number;
  readonly asset: number;
  /** Engine units. */
  readonly units: bigint;
  /** Of a credit: `seq` of the ledger's transfer. */
  readonly ledgerSeq?: number;
  /** Of a debit: uint64; 0n for none. */
  readonly clientOrderId?: bigint;
}
export type SettlementEvent = SettledTrade | Movement;

const floatWords = eventBytes / 8;
const intWords = eventBytes / 4;
const kinds = {
  trade: eventKinds.indexOf('trade'),
  credited: eventKinds.indexOf('credited'),
  debited: eventKinds.indexOf('debited'),
} as const;

/** In the place of an index: the whole command. */
export const wholeCommand = 2 ** 31 - 1;

export const isBefore = (a: EventPlace, b: EventPlace): boolean =>
  a.seq < b.seq || (a.seq === b.seq && a.index < b.index);
/** Whether `next` can be the event after `last`: each command gives at least one event. */
export const follows = (next: EventPlace, last: EventPlace): boolean =>
  next.seq === last.seq ? next.index === last.index + 1 : next.seq === last.seq + 1 && next.index === 0;

export function placeOf({ float64, int32 }: EventSlots, at: number): EventPlace {
  return {
    seq: float64[at * floatWords + eventFloat64.seq] ?? 0,
    index: (int32[at * intWords + eventInt32.head] ?? 0) >>> 8,
  };
}

function tradeAt({ float64, int32 }: EventSlots, at: number): SettledTrade {
  const float = at * floatWords;
  const int = at * intWords;
  const detail = int32[int + eventInt32.detail] ?? 0;
  return {
    kind: 'trade',
    timeMs: float64[float + eventFloat64.timeMs] ?? 0,
    seq: float64[float + eventFloat64.seq] ?? 0,
    index: (int32[int + eventInt32.head] ?? 0) >>> 8,
    market: int32[int + eventInt32.market] ?? 0,
    price: int32[int + eventInt32.price] ?? 0,
    lots: float64[float + eventFloat64.lots] ?? 0,
    takerBuys: ((detail >>> detailBits.side) & 1) === 0,
    auction: ((detail >>> detailBits.flags) & eventFlags.auction) !== 0,
    taker: int32[int + eventInt32.account] ?? 0,
    maker: int32[int + eventInt32.makerAccount] ?? 0,
    takerOrder: float64[float + eventFloat64.order] ?? 0,
    makerOrder: float64[float + eventFloat64.maker] ?? 0,
    takerFee: float64[float + eventFloat64.feeTaker] ?? 0,
    makerFee: float64[float + eventFloat64.feeMaker] ?? 0,
  };
}

/** Undefined for an event that moves nothing. No inner functions: it runs for every event of the engine. */
export function settlementEvent(slots: EventSlots, at: number): SettlementEvent | undefined {
  const float = at * floatWords;
  const int = at * intWords;
  const kind = (slots.int32[int + eventInt32.head] ?? 0) & 0xff;
  if (kind === kinds.trade) return tradeAt(slots, at);
  if (kind !== kinds.credited && kind !== kinds.debited) return undefined;
  const movement = {
    ...placeOf(slots, at),
    account: slots.int32[int + eventInt32.account] ?? 0,
    asset: slots.int32[int + eventInt32.market] ?? 0,
    units: slots.bigInt64[float + eventFloat64.lots] ?? 0n,
  };
  return kind === kinds.credited
    ? { ...movement, kind: 'credited', ledgerSeq: slots.float64[float + eventFloat64.order] ?? 0 }
    : {
        ...movement,
        kind: 'debited',
        clientOrderId: BigInt.asUintN(64, slots.bigInt64[float + eventFloat64.maker] ?? 0n),
      };
}
