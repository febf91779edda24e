/** The book that a client keeps: of snapshot and messages, sorted as prices are, and never deeper than it is known. */
import { expect, test } from 'vitest';
import { LocalBook } from '../../../api/client/local-book.ts';
import type { PriceLevel } from '../../../matching/trading/contract.ts';

const snapshot = (bids: readonly PriceLevel[], asks: readonly PriceLevel[] = []) => ({
  market: 'ETH-USD',
  seq: 5,
  timeMs: 1,
  bids,
  asks,
});
const message = (bids: readonly PriceLevel[], asks: readonly PriceLevel[] = [], seq = 6) => ({
  channel: 'book' as const,
  market: 'ETH-USD',
  seq,
  prevSeq: seq - 1,
  timeMs: 2,
  bids,
  asks,
});
const levelsMax = 3;

test('prices are sorted as numbers, best first, however many digits they have', () => {
  const book = new LocalBook(snapshot([['9.50', '1.0']], [['10.00', '1.0']]), levelsMax);
  book.apply(
    message(
      [['10.00', '2.0']],
      [
        ['9.99', '1.0'],
        ['100.00', '3.0'],
      ],
    ),
  );
  expect(book.bids.map(([price]) => price)).toEqual(['10.00', '9.50']);
  expect(book.asks.map(([price]) => price)).toEqual(['9.99', '10.00', '100.00']);
  expect(book.seq).toBe(6);
});

test('a size of zero ends a price, in whatever number of places', () => {
  const book = new LocalBook(
    snapshot([
      ['9.50', '1.0'],
      ['9.40', '1.0'],
    ]),
    levelsMax,
  );
  book.apply(
    message([
      ['9.50', '0.0'],
      ['9.30', '0'],
    ]),
  );
  expect(book.bids).toEqual([['9.40', '1.0']]);
});

test('a side that was not full is known whole', () => {
  const book = new LocalBook(snapshot([['9.50', '1.0']]), levelsMax);
  book.apply(message([['0.01', '1.0']]));
  expect(book.bids).toHaveLength(2);
  expect(book.isThin).toBe(false);
});

test('beyond the last price of a full snapshot nothing is shown: others may be there', () => {
  const full: PriceLevel[] = [
    ['9.50', '1.0'],
    ['9.40', '1.0'],
    ['9.30', '1.0'],
  ];
  const book = new LocalBook(snapshot(full), levelsMax);
  book.apply(
    message([
      ['9.29', '1.0'],
      ['9.35', '2.0'],
      ['9.60', '1.0'],
    ]),
  );
  expect(book.bids.map(([price]) => price)).toEqual(['9.60', '9.50', '9.40', '9.35', '9.30']);
  // Three levels are far below what makes a full side worth keeping.
  expect(book.isThin).toBe(true);
});
