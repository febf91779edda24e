/**
 * Commands, as documents and as 64 bytes. The sequencer gives sequence number and time; the engine reads nothing else.
 *
 * | bytes | float64 word | holds |
 * |---|---|---|
 * | 0 | 0 | sequence number |
 * | 8 | 1 | time, ms since 1970 |
 * | 16 | 2 | lots; units of credit and debit as int64 |
 * | 24 | 3 | display lots (limit), budget (market, stop); order id of amend and cancel; position of credit |
 * | 32 | 4 | client order id as uint64, also of a debit |
 *
 * | bytes | int32 word | holds |
 * |---|---|---|
 * | 40 | 10 | kind, side, type, time in force, self-trade mode, flags: 4 bits each from the lowest, flags 8 |
 * | 44 | 11 | account |
 * | 48 | 12 | market (-1: all); asset of credit and debit |
 * | 52 | 13 | price, ticks; low of a band; fee tier |
 * | 56 | 14 | trigger price, ticks; high of a band; market state |
 * | 60 | 15 | 0 |
 */
import {
  commandKinds,
  type MarketState,
  marketStates,
  type OrderType,
  orderTypes,
  type SelfTradeMode,
  type Side,
  selfTradeModes,
  sides,
  type TimeInForce,
  timesInForce,
} from './vocabulary.ts';

interface Sequenced {
  /** 1, 2, 3 ... without gaps. */
  readonly seq: number;
  /** Milliseconds since 1970. */
  readonly timeMs: number;
}
/** One of the two; 0n: none. */
interface OrderReference {
  readonly account: number;
  readonly orderId?: number;
  readonly clientOrderId?: bigint;
}
export interface PlaceFields {
  readonly account: number;
  readonly market: number;
  readonly side: Side;
  readonly type: OrderType;
  readonly timeInForce: TimeInForce;
  readonly postOnly?: boolean;
  /** Ticks; limit and stop-limit. */
  readonly price?: number;
  /** Ticks; stop and stop-limit. */
  readonly triggerPrice?: number;
  /** 0 or absent only where a budget is. */
  readonly lots?: number;
  /** Of an iceberg. */
  readonly displayLots?: number;
  /** Quote units, of a buying market or stop order. */
  readonly budget?: number;
  readonly selfTrade?: SelfTradeMode;
  /** uint64; 0n or absent: none. */
  readonly clientOrderId?: bigint;
}
export type CommandBody =
  | { readonly kind: 'open-account'; readonly account: number }
  | {
      readonly kind: 'credit';
      readonly account: number;
      readonly asset: number;
      readonly units: bigint;
      /** In the stream of transfers to the engine; only grows. */
      readonly position: number;
    }
  | {
      readonly kind: 'debit';
      readonly account: number;
      readonly asset: number;
      readonly units: bigint;
      /** uint64; refused where it is taken, so that the debit can be sent again. 0n or absent: none. */
      readonly clientOrderId?: bigint;
    }
  | ({ readonly kind: 'place' } & PlaceFields)
  | ({ readonly kind: 'amend'; readonly price?: number; readonly lots?: number } & OrderReference)
  | ({ readonly kind: 'cancel' } & OrderReference)
  | { readonly kind: 'cancel-all'; readonly account: number; readonly market?: number }
  | {
      readonly kind: 'set-account';
      readonly account: number;
      readonly blocked: boolean;
      readonly feeTier: number;
    }
  | { readonly kind: 'set-market'; readonly market: number; readonly state: MarketState }
  | { readonly kind: 'set-band'; readonly market: number; readonly low: number; readonly high: number };
export type Command = Sequenced & CommandBody;

export const commandBytes = 64;
/** In words of a slot. */
export const commandFloat64 = { seq: 0, timeMs: 1, lots: 2, extra: 3, clientOrderId: 4 } as const;
export const commandInt32 = { head: 10, account: 11, market: 12, price: 13, trigger: 14 } as const;
/** In bits of the head. */
export const headShift = { kind: 0, side: 4, type: 8, timeInForce: 12, selfTrade: 16, flags: 20 } as const;
export const commandFlags = { postOnly: 1, blocked: 2 } as const;
export const allMarkets = -1;

/** Slots of commands over one buffer, which may be shared with another thread. */
export interface CommandSlots {
  readonly float64: Float64Array;
  readonly int32: Int32Array;
  readonly bigInt64: BigInt64Array;
  readonly bytes: Uint8Array;
}
export function commandSlots(buffer: ArrayBufferLike): CommandSlots {
  return {
    float64: new Float64Array(buffer),
    int32: new Int32Array(buffer),
    bigInt64: new BigInt64Array(buffer),
    bytes: new Uint8Array(buffer),
  };
}

interface Words {
  lots: number | bigint;
  extra: number;
  clientOrderId: bigint;
  side: number;
  type: number;
  timeInForce: number;
  selfTrade: number;
  flags: number;
  account: number;
  market: number;
  price: number;
  trigger: number;
}

function wordsOf(command: CommandBody): Partial<Words> {
  switch (command.kind) {
    case 'open-account':
      return { account: command.account };
    case 'credit':
      return {
        account: command.account,
        market: command.asset,
        lots: command.units,
        extra: command.position,
      };
    case 'debit':
      return {
        account: command.account,
        market: command.asset,
        lots: command.units,
        clientOrderId: command.clientOrderId ?? 0n,
      };
    case 'place':
      return {
        account: command.account,
        market: command.market,
        lots: command.lots ?? 0,
        extra: command.displayLots ?? command.budget ?? 0,
        clientOrderId: command.clientOrderId ?? 0n,
        side: sides.indexOf(command.side),
        type: orderTypes.indexOf(command.type),
        timeInForce: timesInForce.indexOf(command.timeInForce),
        selfTrade: selfTradeModes.indexOf(command.selfTrade ?? 'cancel-taker'),
        flags: command.postOnly === true ? commandFlags.postOnly : 0,
        price: command.price ?? 0,
        trigger: command.triggerPrice ?? 0,
      };
    case 'amend':
    case 'cancel':
      return {
        account: command.account,
        extra: command.orderId ?? 0,
        clientOrderId: command.clientOrderId ?? 0n,
        ...(command.kind === 'amend' ? { price: command.price ?? 0, lots: command.lots ?? 0 } : {}),
      };
    case 'cancel-all':
      return { account: command.account, market: command.market ?? allMarkets };
    case 'set-account':
      return {
        account: command.account,
        price: command.feeTier,
        flags: command.blocked ? commandFlags.blocked : 0,
      };
    case 'set-market':
      return { market: command.market, trigger: marketStates.indexOf(command.state) };
    case 'set-band':
      return { market: command.market, price: command.low, trigger: command.high };
  }
}

/** Writes a command into slot `at`. Fields are written as they are: the engine judges them. */
export function writeCommand(slots: CommandSlots, at: number, command: Command): void {
  const words = wordsOf(command);
  const float = at * 8;
  const int = at * 16;
  slots.bytes.fill(0, at * commandBytes, (at + 1) * commandBytes);
  slots.float64[float + commandFloat64.seq] = command.seq;
  slots.float64[float + commandFloat64.timeMs] = command.timeMs;
  if (typeof words.lots === 'bigint') slots.bigInt64[float + commandFloat64.lots] = words.lots;
  else slots.float64[float + commandFloat64.lots] = words.lots ?? 0;
  slots.float64[float + commandFloat64.extra] = words.extra ?? 0;
  slots.bigInt64[float + commandFloat64.clientOrderId] = words.clientOrderId ?? 0n;
  slots.int32[int + commandInt32.head] =
    (commandKinds.indexOf(command.kind) << headShift.kind) |
    ((words.side ?? 0) << headShift.side) |
    ((words.type ?? 0) << headShift.type) |
    ((words.timeInForce ?? 0) << headShift.timeInForce) |
    ((words.selfTrade ?? 0) << headShift.selfTrade) |
    ((words.flags ?? 0) << headShift.flags);
  slots.int32[int + commandInt32.account] = words.account ?? 0;
  slots.int32[int + commandInt32.market] = words.market ?? 0;
  slots.int32[int + commandInt32.price] = words.price ?? 0;
  slots.int32[int + commandInt32.trigger] = words.trigger ?? 0;
}
