/** The two books the bench drives, each in the same way: a fresh one with the flow's resting orders, then what is timed. */
import { OrderBook } from 'nodejs-order-book';
import { type EventSlots, eventFloat64, eventInt32, eventKinds } from '../../matching/contract.ts';
import { type BookLevel, createEngine } from '../../matching/engine/index.ts';
import type { Flow } from './flow.ts';
import type { PeerCall } from './peer-calls.ts';

/** What both must agree on. */
export interface Outcome {
  /** Lots that were traded. */
  readonly volume: number;
  readonly openOrders: number;
  /** Best first. */
  readonly bids: readonly BookLevel[];
  readonly asks: readonly BookLevel[];
}
interface Book {
  /** Applies the timed commands `from` to `to - 1` and reads what each gave. */
  readonly run: (from: number, to: number) => void;
  readonly outcome: () => Outcome;
}
export interface Subject {
  readonly name: 'strongroom' | 'nodejs-order-book';
  readonly open: (flow: Flow) => Book;
}

const tradeKind = eventKinds.indexOf('trade');
// Imported constants are loaded each time they are used (matching/engine/orders.ts).
const { head: headWord } = eventInt32;
const { lots: lotsWord } = eventFloat64;
/** Commands between two looks at the events. */
export const portion = 64;

function openStrongroom({ config, slots, before }: Flow): Book {
  const engine = createEngine(config);
  let volume = 0;
  const read = ({ float64, int32 }: EventSlots, count: number): void => {
    for (let at = 0; at < count; at++)
      if (((int32[at * 24 + headWord] as number) & 0xff) === tradeKind)
        volume += float64[at * 12 + lotsWord] as number;
  };
  const run = (from: number, to: number): void => {
    for (let at = before + from; at < before + to; ) {
      const end = Math.min(at + portion, before + to);
      while (at < end) engine.submit(slots, at++);
      engine.drainEvents(read);
    }
  };
  run(-before, 0);
  volume = 0;
  const levels = (side: 'buy' | 'sell'): BookLevel[] => engine.levels(0, side, Number.MAX_SAFE_INTEGER);
  return {
    run,
    outcome: () => ({ volume, openOrders: engine.openOrders, bids: levels('buy'), asks: levels('sell') }),
  };
}

/** @returns lots that were traded */
function applyCall(book: OrderBook, call: PeerCall): number {
  if (call.kind === 'cancel') {
    if (book.cancel(call.id) === undefined) throw new Error(`the peer does not know order ${call.id}`);
    return 0;
  }
  const { size } = call.kind === 'modify' ? call : call.options;
  const response =
    call.kind === 'limit'
      ? book.limit(call.options)
      : call.kind === 'market'
        ? book.market(call.options)
        : book.modify(call.id, { price: call.price });
  if (response.err !== null) throw new Error(`the peer refused a command: ${response.err.message}`);
  return size - response.quantityLeft;
}

function openPeer({ calls, resting }: Flow): Book {
  const book = new OrderBook();
  let volume = 0;
  const run = (from: number, to: number): void => {
    for (let at = resting + from; at < resting + to; at++) volume += applyCall(book, calls[at] as PeerCall);
  };
  run(-resting, 0);
  volume = 0;
  const levelsOf = (levels: ReturnType<OrderBook['snapshot']>['asks'], direction: 1 | -1): BookLevel[] =>
    levels
      .map(({ price, orders }) => ({
        price,
        lots: orders.reduce((sum, { size }) => sum + size, 0),
        orders: orders.length,
      }))
      .sort((a, b) => (a.price - b.price) * direction);
  const outcome = (): Outcome => {
    const shot = book.snapshot();
    const bids = levelsOf(shot.bids, -1);
    const asks = levelsOf(shot.asks, 1);
    return {
      volume,
      openOrders: [...bids, ...asks].reduce((sum, { orders }) => sum + orders, 0),
      bids,
      asks,
    };
  };
  return { run, outcome };
}

export const strongroom: Subject = { name: 'strongroom', open: openStrongroom };
export const peer: Subject = { name: 'nodejs-order-book', open: openPeer };
