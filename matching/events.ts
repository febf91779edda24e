/**
 * Events, as documents and as 96 bytes.
 *
 * | float64 word | holds |
 * |---|---|
 * | 0 | sequence number of the command |
 * | 1 | order id; of a trade or decrement the taker's; of credited the position |
 * | 2 | of a trade or decrement the maker's order id; of accepted and debited the client order id as uint64 |
 * | 3 | lots traded or taken off; of other order events the rest; of credited and debited the units as int64; of cancelled-all the number |
 * | 4 | trade: fee of the taker; accepted: budget; rested: visible lots |
 * | 5 | trade: fee of the maker |
 * | 6 | trade, decremented: rest of the taker |
 * | 7 | trade, decremented: rest of the maker, hidden lots included |
 *
 * | int32 word | holds |
 * |---|---|
 * | 16 | kind: 8 bits; index within the command: 24 bits |
 * | 17 | market, of credited and debited the asset; -1: none |
 * | 18 | account, of a trade or decrement the taker's; -1: none |
 * | 19 | trade, decremented: the maker's account; else -1 |
 * | 20 | price, ticks; low of a band; trigger of waiting and triggered; fee tier |
 * | 21 | detail: see `detailBits` |
 * | 22 | high of a band; trigger price of accepted |
 * | 23 | 0 |
 *
 * A trade has the time of its command, ms since 1970, in words 22 and 23 (float64 word 11).
 *
 * What a kind does not have is 0 (or -1 where said), so that the hash over all words is defined.
 */
import {
  type DoneReason,
  doneReasons,
  eventKinds,
  type MarketState,
  marketStates,
  type OrderType,
  orderTypes,
  type RejectReason,
  rejectReasons,
  type Side,
  sides,
} from './vocabulary.ts';

export const eventBytes = 96;
export const eventFloat64 = {
  seq: 0,
  order: 1,
  maker: 2,
  lots: 3,
  feeTaker: 4,
  feeMaker: 5,
  restTaker: 6,
  restMaker: 7,
  /** Of a trade only. */
  timeMs: 11,
} as const;
export const eventInt32 = {
  head: 16,
  market: 17,
  account: 18,
  makerAccount: 19,
  price: 20,
  detail: 21,
  high: 22,
} as const;
/** Where what stands in the detail: a reason or market state in the lowest 8 bits, then side and type of the order (the taker's), then flags. */
export const detailBits = { reason: 0, side: 8, type: 9, flags: 12 } as const;
export const eventFlags = {
  /** amended: the order kept its place. */
  priorityKept: 1,
  /** trade: at the uniform price of an auction; the taker is the buyer. */
  auction: 2,
  /** account-set. */
  blocked: 4,
} as const;

interface Of {
  readonly seq: number;
  /** 0, 1, 2 ... within the command. */
  readonly index: number;
}
interface OfOrder extends Of {
  readonly order: number;
  readonly account: number;
  readonly market: number;
  readonly side: Side;
}
export type EngineEvent =
  | (Of & {
      readonly kind: 'rejected';
      readonly account: number;
      readonly market: number;
      readonly reason: RejectReason;
    })
  | (Of & { readonly kind: 'account-opened'; readonly account: number })
  | (Of & {
      readonly kind: 'credited';
      readonly account: number;
      readonly asset: number;
      readonly units: bigint;
      readonly position: number;
    })
  | (Of & {
      readonly kind: 'debited';
      readonly account: number;
      readonly asset: number;
      readonly units: bigint;
      readonly clientOrderId: bigint;
    })
  | (Of & {
      readonly kind: 'account-set';
      readonly account: number;
      readonly blocked: boolean;
      readonly feeTier: number;
    })
  | (Of & { readonly kind: 'market-set'; readonly market: number; readonly state: MarketState })
  | (Of & { readonly kind: 'band-set'; readonly market: number; readonly low: number; readonly high: number })
  | (OfOrder & {
      readonly kind: 'accepted';
      readonly type: OrderType;
      readonly price: number;
      readonly triggerPrice: number;
      readonly lots: number;
      readonly budget: number;
      readonly clientOrderId: bigint;
    })
  | (Of & {
      readonly kind: 'trade';
      /** Of the command; milliseconds since 1970. */
      readonly timeMs: number;
      readonly market: number;
      readonly price: number;
      readonly lots: number;
      /** Of the taker. */
      readonly side: Side;
      readonly auction: boolean;
      readonly taker: {
        readonly order: number;
        readonly account: number;
        readonly fee: number;
        readonly rest: number;
      };
      readonly maker: {
        readonly order: number;
        readonly account: number;
        readonly fee: number;
        readonly rest: number;
      };
    })
  | (OfOrder & {
      readonly kind: 'rested';
      readonly price: number;
      readonly rest: number;
      readonly visible: number;
    })
  | (OfOrder & {
      readonly kind: 'amended';
      readonly price: number;
      readonly rest: number;
      readonly priorityKept: boolean;
    })
  | (Of & {
      readonly kind: 'decremented';
      readonly market: number;
      readonly price: number;
      readonly lots: number;
      readonly side: Side;
      readonly taker: { readonly order: number; readonly account: number; readonly rest: number };
      readonly maker: { readonly order: number; readonly account: number; readonly rest: number };
    })
  | (OfOrder & { readonly kind: 'waiting'; readonly triggerPrice: number; readonly rest: number })
  | (OfOrder & { readonly kind: 'triggered'; readonly triggerPrice: number; readonly rest: number })
  | (OfOrder & { readonly kind: 'done'; readonly reason: DoneReason; readonly rest: number })
  | (Of & {
      readonly kind: 'cancelled-all';
      readonly account: number;
      readonly market: number;
      readonly count: number;
    });

/** Slots of events over one buffer. */
export interface EventSlots {
  readonly float64: Float64Array;
  readonly int32: Int32Array;
  readonly bigInt64: BigInt64Array;
}
export function eventSlots(buffer: ArrayBufferLike): EventSlots {
  return {
    float64: new Float64Array(buffer),
    int32: new Int32Array(buffer),
    bigInt64: new BigInt64Array(buffer),
  };
}

const word = <T>(words: readonly T[], at: number): T => {
  const found = words[at];
  if (found === undefined) throw new RangeError(`word ${at} of ${words.length}`);
  return found;
};

/** Methods, not closures: tsx names each closure anew each time it is made, which takes longer than all the rest. */
class Words {
  readonly #slots: EventSlots;
  readonly #at: number;
  readonly #detail: number;

  constructor(slots: EventSlots, at: number) {
    this.#slots = slots;
    this.#at = at;
    this.#detail = slots.int32[at * 24 + eventInt32.detail] ?? 0;
  }

  float(name: keyof typeof eventFloat64): number {
    return this.#slots.float64[this.#at * 12 + eventFloat64[name]] ?? 0;
  }

  int(name: keyof typeof eventInt32): number {
    return this.#slots.int32[this.#at * 24 + eventInt32[name]] ?? 0;
  }

  big(name: keyof typeof eventFloat64): bigint {
    return this.#slots.bigInt64[this.#at * 12 + eventFloat64[name]] ?? 0n;
  }

  get seq(): number {
    return this.float('seq');
  }

  get index(): number {
    return this.int('head') >>> 8;
  }

  get reason(): number {
    return (this.#detail >>> detailBits.reason) & 0xff;
  }

  get side(): Side {
    return word(sides, (this.#detail >>> detailBits.side) & 1);
  }

  get type(): OrderType {
    return word(orderTypes, (this.#detail >>> detailBits.type) & 7);
  }

  has(flag: keyof typeof eventFlags): boolean {
    return ((this.#detail >>> detailBits.flags) & eventFlags[flag]) !== 0;
  }
}

/** Two orders met. */
function readMeeting(words: Words, kind: 'trade' | 'decremented'): EngineEvent {
  const { seq, index, side } = words;
  const market = words.int('market');
  const price = words.int('price');
  const lots = words.float('lots');
  const order = words.float('order');
  const account = words.int('account');
  const rest = words.float('restTaker');
  const makerOrder = words.float('maker');
  const makerAccount = words.int('makerAccount');
  const makerRest = words.float('restMaker');
  if (kind === 'decremented') {
    const taker = { order, account, rest };
    const maker = { order: makerOrder, account: makerAccount, rest: makerRest };
    return { seq, index, market, price, lots, side, kind, taker, maker };
  }
  const timeMs = words.float('timeMs');
  const auction = words.has('auction');
  const taker = { order, account, rest, fee: words.float('feeTaker') };
  const maker = { order: makerOrder, account: makerAccount, rest: makerRest, fee: words.float('feeMaker') };
  return { seq, index, market, price, lots, side, kind, timeMs, auction, taker, maker };
}

type OrderEventKind = 'accepted' | 'rested' | 'amended' | 'waiting' | 'triggered' | 'done';

/** What became of one order. */
function readOrderEvent(words: Words, kind: OrderEventKind): EngineEvent {
  const { seq, index, side } = words;
  const order = words.float('order');
  const account = words.int('account');
  const market = words.int('market');
  const price = words.int('price');
  const rest = words.float('lots');
  switch (kind) {
    case 'accepted': {
      const { type } = words;
      const triggerPrice = words.int('high');
      const budget = words.float('feeTaker');
      const clientOrderId = BigInt.asUintN(64, words.big('maker'));
      const asked = { type, price, triggerPrice, lots: rest, budget, clientOrderId };
      return { seq, index, order, account, market, side, kind, ...asked };
    }
    case 'rested':
      return {
        seq,
        index,
        order,
        account,
        market,
        side,
        kind,
        price,
        rest,
        visible: words.float('feeTaker'),
      };
    case 'amended': {
      const priorityKept = words.has('priorityKept');
      return { seq, index, order, account, market, side, kind, price, rest, priorityKept };
    }
    case 'waiting':
    case 'triggered':
      return { seq, index, order, account, market, side, kind, triggerPrice: price, rest };
    case 'done': {
      const reason = word(doneReasons, words.reason);
      return { seq, index, order, account, market, side, kind, reason, rest };
    }
  }
}

/** The event in slot `at`. For people, tests and gateways; the hot path writes words. */
export function readEvent(slots: EventSlots, at: number): EngineEvent {
  const words = new Words(slots, at);
  const { seq, index } = words;
  const account = words.int('account');
  const market = words.int('market');
  const kind = word(eventKinds, words.int('head') & 0xff);
  switch (kind) {
    case 'rejected':
      return { seq, index, kind, account, market, reason: word(rejectReasons, words.reason) };
    case 'account-opened':
      return { seq, index, kind, account };
    case 'credited':
      return {
        seq,
        index,
        kind,
        account,
        asset: market,
        units: words.big('lots'),
        position: words.float('order'),
      };
    case 'debited':
      return {
        seq,
        index,
        kind,
        account,
        asset: market,
        units: words.big('lots'),
        clientOrderId: BigInt.asUintN(64, words.big('maker')),
      };
    case 'account-set':
      return { seq, index, kind, account, blocked: words.has('blocked'), feeTier: words.int('price') };
    case 'market-set':
      return { seq, index, kind, market, state: word(marketStates, words.reason) };
    case 'band-set':
      return { seq, index, kind, market, low: words.int('price'), high: words.int('high') };
    case 'trade':
    case 'decremented':
      return readMeeting(words, kind);
    case 'accepted':
    case 'rested':
    case 'amended':
    case 'waiting':
    case 'triggered':
    case 'done':
      return readOrderEvent(words, kind);
    case 'cancelled-all':
      return { seq, index, kind, account, market, count: words.float('lots') };
  }
}

/** Of the rolling hash: four lanes of 32 bits, so that a processor works on all of them at once. */
export const initialLanes: readonly number[] = [0x5374726f, 0x6e67726f, 0x6f6d2f65, 0x6e67696e];
/** From MurmurHash3 (Appleby, public domain), one constant per lane. Not cryptographic: it finds accidents, not attackers. */
const mixes = { a: 0xcc9e2d51, b: 0x1b873593, c: 0xab0e9789, d: 0x38b34ae5 } as const;
const eventWords = eventBytes / 4;

/** Mixes the events in slots `from` to `to - 1` into the lanes. */
export function mixEvents(lanes: Int32Array, int32: Int32Array, from: number, to: number): void {
  let a = lanes[0] as number;
  let b = lanes[1] as number;
  let c = lanes[2] as number;
  let d = lanes[3] as number;
  for (let at = from; at < to; at++) {
    const end = (at + 1) * eventWords;
    for (let i = at * eventWords; i < end; i += 4) {
      a = Math.imul(a ^ (int32[i] as number), mixes.a);
      b = Math.imul(b ^ (int32[i + 1] as number), mixes.b);
      c = Math.imul(c ^ (int32[i + 2] as number), mixes.c);
      d = Math.imul(d ^ (int32[i + 3] as number), mixes.d);
      a = (a << 15) | (a >>> 17);
      b = (b << 16) | (b >>> 16);
      c = (c << 17) | (c >>> 15);
      d = (d << 18) | (d >>> 14);
    }
    // Lanes meet once per event: a word changes two of them at once, and all after two more events.
    const first = a;
    a = (a + b) | 0;
    b = (b + c) | 0;
    c = (c + d) | 0;
    d ^= first;
  }
  lanes[0] = a;
  lanes[1] = b;
  lanes[2] = c;
  lanes[3] = d;
}
export const hashText = (lanes: Int32Array): string =>
  [...lanes].map((lane) => (lane >>> 0).toString(16).padStart(8, '0')).join('');
