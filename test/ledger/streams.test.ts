/** A stream of events from outside is booked in order and once, whoever sends what how often. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPool, type Pool } from '#infra/db';
import { createLedger, type Ledger } from '#ledger';
import { chainHot, customerMain, type TransferCommand } from '#ledger/contract';
import { databaseForThisFile } from '../support/database.ts';
import { accountOf, ether, post, transferOf, walletOf } from './fixture.ts';

const hot = chainHot(walletOf('w'));
const alice = customerMain(accountOf('alice'));
let pool: Pool;
let ledger: Ledger;
beforeAll(async () => {
  pool = openPool({ connectionString: await databaseForThisFile(), applicationName: 'test-streams' });
  ledger = createLedger({ pool });
  await ledger.openAccounts(
    pool,
    [hot, alice].map((path) => ({ path, asset: ether })),
  );
});
afterAll(async () => {
  expect(await ledger.verify()).toEqual({ ok: true, problems: [] });
  await pool.end();
});

const balance = async (): Promise<bigint> => (await ledger.balances({ paths: [alice] }))[0]?.balance ?? -1n;
/** Event n of a stream pays alice one unit. */
const eventsOf = (stream: string, after: bigint, upTo: bigint): TransferCommand[] => {
  const events: TransferCommand[] = [];
  for (let at = after + 1n; at <= upTo; at++)
    events.push({ ...post(hot, alice, 1n), id: transferOf(`${stream} ${at}`) });
  return events;
};
const book = async (stream: string, after: bigint, upTo: bigint) =>
  await ledger.applyPortion({ stream, after, upTo }, eventsOf(stream, after, upTo));

test('in order and once; what neither follows nor was booked is refused with the position', async () => {
  const stream = 'trades:1';
  const before = await balance();
  expect(await ledger.streamPosition(stream)).toBe(0n);
  await expect(book(stream, 1n, 4n)).rejects.toMatchObject({
    code: 'LEDGER_STREAM_GAP',
    kind: 'conflict',
    details: { position: '0', after: '1', upTo: '4' },
  });
  expect(await book(stream, 0n, 3n)).toBe('ok');
  expect(await book(stream, 0n, 3n)).toBe('exists');
  expect(await book(stream, 1n, 2n)).toBe('exists');
  // Half of it is booked: the caller has to cut it.
  await expect(book(stream, 2n, 5n)).rejects.toMatchObject({ code: 'LEDGER_STREAM_GAP' });
  expect(await book(stream, 3n, 5n)).toBe('ok');
  expect(await ledger.streamPosition(stream)).toBe(5n);
  expect((await balance()) - before).toBe(5n);
});

test('a portion in which one command fails is not booked at all', async () => {
  const stream = 'trades:2';
  const before = await balance();
  const portion = { stream, after: 0n, upTo: 3n };
  const commands = [...eventsOf(stream, 0n, 2n), post(alice, hot, 10n ** 30n)];
  await expect(ledger.applyPortion(portion, commands)).rejects.toMatchObject({
    code: 'LEDGER_INSUFFICIENT_FUNDS',
  });
  expect(await ledger.streamPosition(stream)).toBe(0n);
  expect(await balance()).toBe(before);
  expect(await book(stream, 0n, 3n)).toBe('ok');
  expect((await balance()) - before).toBe(3n);
});

test('events without value advance it too, each stream on its own', async () => {
  expect(await ledger.applyPortion({ stream: 'trades:3', after: 0n, upTo: 9n }, [])).toBe('ok');
  expect(await ledger.streamPosition('trades:3')).toBe(9n);
  expect(await ledger.streamPosition('trades:4')).toBe(0n);
});

test('settlers at work at once book each portion once', async () => {
  const stream = 'trades:5';
  const before = await balance();
  const settlers = Array.from({ length: 6 }, () => createLedger({ pool }));
  const outcomes = await Promise.all(
    settlers.map(async (settler) => {
      const own: string[] = [];
      for (let after = 0n; after < 40n; after += 4n)
        own.push(
          await settler.applyPortion(
            { stream, after, upTo: after + 4n },
            eventsOf(stream, after, after + 4n),
          ),
        );
      return own;
    }),
  );
  expect(outcomes.flat().filter((outcome) => outcome === 'ok')).toHaveLength(10);
  expect(await ledger.streamPosition(stream)).toBe(40n);
  expect((await balance()) - before).toBe(40n);
});

test('it is the position that makes a portion unique, not the ids in it', async () => {
  const stream = 'trades:6';
  const portion = { stream, after: 0n, upTo: 1n };
  const before = await balance();
  expect(await ledger.applyPortion(portion, [post(hot, alice, 1n)])).toBe('ok');
  expect(await ledger.applyPortion(portion, [post(hot, alice, 1n)])).toBe('exists');
  expect((await balance()) - before).toBe(1n);
});

test.each([
  { stream: '', after: 0n, upTo: 1n },
  { stream: 'two words', after: 0n, upTo: 1n },
  { stream: 'x'.repeat(129), after: 0n, upTo: 1n },
  { stream: 's', after: -1n, upTo: 1n },
  { stream: 's', after: 5n, upTo: 5n },
  { stream: 's', after: 5n, upTo: 4n },
  { stream: 's', after: 0n, upTo: 2n ** 63n },
])('what is no portion is refused: $stream $after $upTo', async (portion) => {
  await expect(ledger.applyPortion(portion, [post(hot, alice, 1n)])).rejects.toMatchObject({
    code: 'LEDGER_STREAM_INVALID',
    kind: 'invalid',
  });
});
