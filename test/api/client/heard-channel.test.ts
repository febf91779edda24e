/** A channel as its listener has it, when the connection ends at a bad moment. */
import { expect, test } from 'vitest';
import { HeardChannel } from '../../../api/client/heard-channel.ts';
import type { BookView, FeedMessage } from '../../../matching/trading/contract.ts';

const market = 'ETH-USD';
const book = { channel: 'book', market } as const;
const snapshot: BookView = { market, seq: 7, timeMs: 1, bids: [], asks: [] };
const message = (prevSeq: number, seq: number): FeedMessage => ({
  ...book,
  prevSeq,
  seq,
  timeMs: 1,
  bids: [],
  asks: [],
});
function listening() {
  const told: string[] = [];
  const channel = new HeardChannel(book, {
    onSnapshot: ({ seq }) => told.push(`snapshot ${seq}`),
    onMessage: ({ seq }) => told.push(`message ${seq}`),
    onResync: (reason) => told.push(reason),
  });
  return { channel, told };
}

test('lost between `subscribed` and the snapshot: it is asked for with a snapshot again', () => {
  const { channel, told } = listening();
  channel.ask('1', 'anew');
  channel.subscribed({ id: '1', seq: 5, resync: false });
  expect(channel.ask('2', 'resume')).toEqual({ op: 'subscribe', id: '2', ...book });
  channel.subscribed({ id: '2', seq: 6, resync: false });
  channel.snapshot(snapshot);
  expect(channel.message(message(6, 8))).toBe(true);
  expect(told).toEqual(['snapshot 7', 'message 8']);
});

test('lost between `resync` and the snapshot: the same', () => {
  const { channel, told } = listening();
  channel.ask('1', 'anew');
  channel.subscribed({ id: '1', seq: 5, resync: false });
  channel.snapshot(snapshot);
  channel.message(message(7, 8));
  channel.resync(9);
  expect(channel.ask('2', 'resume')).toEqual({ op: 'subscribe', id: '2', ...book });
  expect(told).toEqual(['snapshot 7', 'message 8', 'reset']);
});

test('lost after the snapshot: on from the number of `subscribed`, or of the last message', () => {
  const { channel } = listening();
  channel.ask('1', 'anew');
  channel.subscribed({ id: '1', seq: 5, resync: false });
  channel.snapshot(snapshot);
  expect(channel.ask('2', 'resume')).toMatchObject({ after: 5 });
  channel.subscribed({ id: '2', seq: 5, resync: false });
  channel.message(message(5, 8));
  expect(channel.ask('3', 'resume')).toMatchObject({ after: 8 });
});

test('trades have no snapshot: on from the number of `subscribed`', () => {
  const channel = new HeardChannel({ channel: 'trades', market }, {});
  channel.ask('1', 'anew');
  channel.subscribed({ id: '1', seq: 5, resync: false });
  expect(channel.ask('2', 'resume')).toMatchObject({ after: 5 });
});
