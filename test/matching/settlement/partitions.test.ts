/** Trades always find their partition, whoever makes it and whenever. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { inTransaction, openPool, type Pool } from '#infra/db';
import {
  ensureTradePartitions,
  fillsOf,
  type HistoryPage,
  openEngine,
  tradesOf,
  verifySettlement,
} from '../../../matching/settlement/index.ts';
import type { EventPlace } from '../../../matching/settlement/settlement-events.ts';
import { databaseForThisFile } from '../../support/database.ts';
import { config, type Exchange, openExchange, randomCommand, seeded } from './fixture.ts';

const customers = 5;
const rows = 40;
let pool: Pool;
let exchange: Exchange;
const random = seeded(31);
beforeAll(async () => {
  pool = openPool({ connectionString: await databaseForThisFile(), applicationName: 'test-partitions' });
  await pool.query(`CREATE OR REPLACE FUNCTION matching.trade_partition_rows() RETURNS bigint LANGUAGE sql IMMUTABLE
                      RETURN ${rows}`);
  exchange = await openExchange(pool, 'main', customers);
});
afterAll(async () => {
  await pool.end();
});

/** Settles some more trades and gives the number of the newest. */
async function trade(commands: number, tradesMax: number): Promise<bigint> {
  const { sequencer } = exchange;
  for (let n = 0; n < commands; n++)
    sequencer.run(randomCommand(random, customers, sequencer.journal.length));
  const settler = await exchange.settler({ tradesMax });
  for (const { slots, count } of sequencer.lots) settler.offer(slots, 0, count);
  await settler.drain(sequencer.engine.seq);
  expect(exchange.refusals).toEqual([]);
  return settler.head.trades;
}
/** Ranges of numbers, and how many trades each has. */
async function partitions(engineNo: number): Promise<{ from: number; trades: number }[]> {
  const { rows: names } = await pool.query<{ name: string; from: number }>(
    `SELECT c.oid::regclass::text AS name, substring(c.relname FROM '[0-9]+$')::int AS from
       FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
      WHERE i.inhparent = 'matching.trade'::regclass AND c.relname LIKE $1 ORDER BY 2`,
    [`trade\\_e${engineNo}\\_%`],
  );
  return await Promise.all(
    names.map(async ({ name, from }) => {
      const found = await pool.query<{ trades: number; ok: boolean }>(
        `SELECT count(*)::int AS trades, coalesce(bool_and(number BETWEEN $1 AND $1 + ${rows} - 1), true) AS ok FROM ${name}`,
        [from],
      );
      expect(found.rows[0]?.ok).toBe(true);
      return { from, trades: found.rows[0]?.trades ?? -1 };
    }),
  );
}
const expectFull = (found: readonly { trades: number }[], newest: bigint): void => {
  let left = Number.parseInt(newest.toString(), 10);
  for (const { trades } of found) {
    expect(trades).toBe(Math.min(rows, Math.max(0, left)));
    left -= trades;
  }
  expect(left).toBe(0);
};

test('a portion makes those it needs itself, also several', async () => {
  expect(await partitions(exchange.engine.no)).toEqual([{ from: 1, trades: 0 }]);
  const newest = await trade(500, 95);
  expect(newest).toBeGreaterThan(150n);
  const found = await partitions(exchange.engine.no);
  expect(found.length).toBeGreaterThan(3);
  expectFull(found, newest);
  expect(await verifySettlement(pool, exchange.engine)).toEqual([]);
});

test('as many are ready as were asked for, and none is made twice', async () => {
  const { engine } = exchange;
  const { rows: heads } = await pool.query<{ room: number; trades: number }>(
    'SELECT room::int, trades::int FROM matching.head WHERE engine = $1',
    [engine.no],
  );
  const { room = 0, trades = 0 } = heads[0] ?? {};
  const missing = Math.ceil((trades + 3 * rows - room) / rows);
  expect(missing).toBeGreaterThan(0);
  expect(await ensureTradePartitions(pool, engine, 3)).toEqual({
    state: 'done',
    made: Array.from({ length: missing }, (_, at) => `trade_e${engine.no}_from_${room + 1 + at * rows}`),
  });
  expect(await ensureTradePartitions(pool, engine, 3)).toEqual({ state: 'done', made: [] });
  expect(await ensureTradePartitions(pool, engine)).toEqual({ state: 'done', made: [] });
  for (const ahead of [0, 65])
    await expect(ensureTradePartitions(pool, engine, ahead)).rejects.toMatchObject({ code: 'MT006' });
});

test('the settler goes on over their edges while others make them', async () => {
  const { engine } = exchange;
  let isSettled = false;
  const keep = async (): Promise<void> => {
    for (let at = 0; !isSettled; at++) await ensureTradePartitions(pool, engine, 1 + (at % 3));
  };
  const settling = trade(500, 7).finally(() => {
    isSettled = true;
  });
  await Promise.all([settling, keep(), keep()]);
  expectFull(await partitions(engine.no), await settling);
  expect(await verifySettlement(pool, engine)).toEqual([]);
});

test('readers of the whole table keep nobody waiting; whoever locks it out makes the next call try again', async () => {
  const { engine } = exchange;
  await inTransaction(pool, async (reader) => {
    await reader.query('SELECT count(*) FROM matching.trade');
    expect(await ensureTradePartitions(pool, engine, 6)).toMatchObject({ state: 'done' });
  });
  await inTransaction(pool, async (other) => {
    await other.query('ANALYZE matching.trade');
    expect(await ensureTradePartitions(pool, engine, 8)).toEqual({ state: 'busy' });
  });
  expect(await ensureTradePartitions(pool, engine, 8)).toMatchObject({ state: 'done' });
});

test('what is full is sealed, once nobody works on it; no row can be added there', async () => {
  const { engine } = exchange;
  const newest = await trade(300, 90);
  const sealed = async () => {
    const { rows: found } = await pool.query<{ name: string; full: boolean; sealed: boolean }>(
      `SELECT p.name, p.last_trade <= $2 AS full,
              'autovacuum_vacuum_insert_threshold=0' = ANY (c.reloptions) AND 'autovacuum_freeze_min_age=0' = ANY (c.reloptions) AS sealed
         FROM matching.trade_partition AS p JOIN pg_class AS c ON c.oid = format('matching.%I', p.name)::regclass
        WHERE p.engine = $1 ORDER BY p.first_trade`,
      [engine.no, newest],
    );
    return found;
  };
  const all = await sealed();
  const full = all.filter((partition) => partition.full);
  expect(full.length).toBeGreaterThan(5);
  expect(full.length).toBeLessThan(all.length);
  const last = full.at(-1)?.name ?? '';
  expect(full.at(-1)?.sealed).toBe(false);
  // The first call makes room, with the settler waiting; it seals nothing.
  const { made } = { made: [], ...(await ensureTradePartitions(pool, engine, 30)) };
  expect(made).not.toEqual([]);
  expect((await sealed()).some((partition) => partition.name === last && partition.sealed)).toBe(false);
  await inTransaction(pool, async (other) => {
    // As vacuum has.
    await other.query(`LOCK TABLE matching.${last} IN SHARE UPDATE EXCLUSIVE MODE`);
    expect(await ensureTradePartitions(pool, engine)).toEqual({ state: 'done', made: [] });
    expect((await sealed()).filter((partition) => partition.full && !partition.sealed)).toEqual([
      { name: last, full: true, sealed: false },
    ]);
  });
  expect(await ensureTradePartitions(pool, engine)).toEqual({ state: 'done', made: [] });
  for (const partition of await sealed()) expect(partition.sealed, partition.name).toBe(partition.full);
  for (const { name } of full)
    await expect(
      pool.query(`INSERT INTO matching.${name} SELECT * FROM matching.${name} ORDER BY number LIMIT 1`),
      name,
    ).rejects.toMatchObject({ code: '23505' });
  // A number of another partition has no place there.
  await expect(
    pool.query(`INSERT INTO matching.${last} SELECT * FROM matching.${full[0]?.name ?? ''} LIMIT 1`),
  ).rejects.toMatchObject({ code: '23514' });
  await trade(60, 90);
  expect(await verifySettlement(pool, engine)).toEqual([]);
});

test('pages go over their edges', async () => {
  const { engine } = exchange;
  type Read = (page: HistoryPage) => Promise<readonly EventPlace[]>;
  const pages: readonly [Read, string][] = [
    [(page) => fillsOf(pool, engine, 1, page), '1 IN (taker, maker)'],
    [(page) => fillsOf(pool, engine, 1, { ...page, market: 1 }), 'market = 1 AND 1 IN (taker, maker)'],
    [(page) => tradesOf(pool, engine, 0, page), 'market = 0'],
  ];
  for (const [read, condition] of pages) {
    const seen: string[] = [];
    let page = await read({ limit: 11 });
    while (page.length > 0) {
      seen.push(...page.map(({ seq, index }) => `${seq}/${index}`));
      page = await read({ limit: 11, before: page.at(-1) ?? { seq: 0, index: 0 } });
    }
    const { rows: expected } = await pool.query<{ place: string }>(
      `SELECT seq || '/' || index AS place FROM matching.trade WHERE engine = $1 AND ${condition} ORDER BY number DESC`,
      [engine.no],
    );
    expect(seen).toEqual(expected.map(({ place }) => place));
    expect(seen.length).toBeGreaterThan(rows);
  }
});

test('each engine has its own, and every one refuses change', async () => {
  const second = await openEngine(pool, 'second', config);
  expect(await partitions(second.no)).toEqual([{ from: 1, trades: 0 }]);
  const found = await pool.query<{ name: string; indexes: number; checks: number }>(
    `SELECT c.oid::regclass::text AS name,
            (SELECT count(*)::int FROM pg_index WHERE indrelid = c.oid AND indisvalid) AS indexes,
            (SELECT count(*)::int FROM pg_constraint WHERE conrelid = c.oid AND contype = 'c') AS checks
       FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = 'matching.trade'::regclass`,
  );
  for (const { name, indexes, checks } of found.rows) {
    expect({ indexes, checks }).toEqual({ indexes: 4, checks: 1 });
    for (const statement of [`UPDATE ${name} SET price = 2`, `DELETE FROM ${name}`, `TRUNCATE ${name}`])
      await expect(pool.query(statement), statement).rejects.toMatchObject({ code: 'MT001' });
  }
});
