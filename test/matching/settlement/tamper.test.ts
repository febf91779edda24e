/** Whoever changes a settled trade behind our back is found, and named with the portion. */
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPool, type Pool } from '#infra/db';
import { type SettlementProblem, verifySettlement } from '../../../matching/settlement/index.ts';
import { databaseForThisFile, superuserOf } from '../../support/database.ts';
import { type Exchange, openExchange, randomCommand, seeded } from './fixture.ts';

let pool: Pool;
let exchange: Exchange;
let superuser: pg.Client;
beforeAll(async () => {
  const url = await databaseForThisFile();
  pool = openPool({ connectionString: url, applicationName: 'test-settlement-tamper' });
  superuser = await superuserOf(url);
  exchange = await openExchange(pool, 'main', 4);
  const random = seeded(3);
  for (let n = 0; n < 400; n++) exchange.sequencer.run(randomCommand(random, 4, n));
  const settler = await exchange.settler({ tradesMax: 20 });
  for (const { slots, count } of exchange.sequencer.lots) settler.offer(slots, 0, count);
  await settler.drain(exchange.sequencer.engine.seq);
  expect(settler.head.portion).toBeGreaterThan(5n);
});
afterAll(async () => {
  await pool.end();
});

test.each(['trade', 'movement', 'portion', 'account', 'asset', 'market', 'engine'])(
  'rows of matching.%s are only added',
  async (table) => {
    for (const statement of [
      `DELETE FROM matching.${table}`,
      `UPDATE matching.${table} SET engine = engine`,
      `TRUNCATE matching.${table} CASCADE`,
    ])
      await expect(
        pool.query(table === 'engine' ? statement.replace('engine = engine', 'name = name') : statement),
      ).rejects.toMatchObject({ code: 'MT001' });
  },
);

/** What is found after the statements, run with all guards off; then everything is as before. */
async function problemsAfter(...statements: string[]): Promise<readonly SettlementProblem[]> {
  await superuser.query('BEGIN');
  try {
    await superuser.query('SET LOCAL session_replication_role = replica');
    for (const statement of statements)
      expect((await superuser.query(statement)).rowCount).toBeGreaterThan(0);
    return await verifySettlement(superuser, exchange.engine);
  } finally {
    await superuser.query('ROLLBACK');
  }
}
/** The oldest of its interval. */
const oneCandle = (intervalMs: string, set: string): string =>
  `UPDATE matching.candle SET ${set} WHERE (engine, market, interval_ms, start_ms) =
     (SELECT engine, market, interval_ms, start_ms FROM matching.candle WHERE interval_ms = ${intervalMs} ORDER BY start_ms LIMIT 1)`;
const rehash = `UPDATE matching.portion AS p SET rows_hash = matching.lines_hash(
  (SELECT string_agg(matching.trade_line(t.number, t.seq, t.index, t.time_ms, t.market, t.price, t.lots, t.taker_buys, t.auction, t.taker,
     t.maker, t.taker_order, t.maker_order, t.taker_fee, t.maker_fee), E'\\n' ORDER BY t.number)
     FROM matching.trade AS t WHERE t.number BETWEEN p.first_trade AND p.last_trade) || E'\\n\\n' ||
  coalesce((SELECT string_agg(matching.movement_line(m.seq, m.index, m.account, m.asset, m.units, m.ledger_seq, m.client_order_id), E'\\n' ORDER BY m.seq, m.index)
     FROM matching.movement AS m WHERE m.portion = p.no), '')) WHERE p.no = 2`;

test('untouched, all is well; also of a range', async () => {
  expect(await verifySettlement(pool, exchange.engine)).toEqual([]);
  expect(await verifySettlement(pool, exchange.engine, { from: 2n, to: 4n })).toEqual([]);
});

test.each([
  ['a price', ['UPDATE matching.trade SET price = price + 1 WHERE number = 25'], ['chain', 'net']],
  [
    'who bought',
    ['UPDATE matching.trade SET taker_buys = NOT taker_buys WHERE number = 25'],
    ['chain', 'net'],
  ],
  [
    'an order id, which moves nothing',
    ['UPDATE matching.trade SET maker_order = 1 WHERE number = 25'],
    ['chain'],
  ],
  [
    'when it was, by a minute',
    ['UPDATE matching.trade SET time_ms = time_ms + 60000 WHERE number = 25'],
    ['chain', 'candle'],
  ],
  [
    'how many lots',
    ['UPDATE matching.trade SET lots = lots + 1 WHERE number = 25'],
    ['chain', 'net', 'candle'],
  ],
  ['a trade that is gone', ['DELETE FROM matching.trade WHERE number = 25'], ['chain', 'net']],
  [
    'a trade more at the end',
    [
      'INSERT INTO matching.trade SELECT number + 1000000, seq, time_ms, price, taker, maker, index, lots, taker_order, maker_order, taker_fee, maker_fee, engine, market, taker_buys, auction FROM matching.trade WHERE number = 25',
    ],
    ['head'],
  ],
  [
    'a price, with the hash of its rows made anew',
    ['UPDATE matching.trade SET price = price + 1 WHERE number = 25', rehash],
    ['chain', 'net'],
  ],
  [
    'what was debited',
    ['UPDATE matching.movement SET units = units + 1 WHERE ledger_seq IS NULL AND account > 0'],
    ['chain', 'movement'],
  ],
  [
    'the client order id of a debit',
    [
      'UPDATE matching.movement SET client_order_id = coalesce(client_order_id, 0) + 1 WHERE ledger_seq IS NULL AND account > 0',
    ],
    ['chain'],
  ],
  ['the high of a minute', [oneCandle('60000', 'high = high + 1')], ['candle']],
  ['the volume of a day', [oneCandle('86400000', 'lots = lots + 1')], ['candle']],
  ['the value of an hour', [oneCandle('3600000', 'value = value - 1')], ['candle']],
  ['the newest trade of four hours', [oneCandle('14400000', 'last_seq = last_seq - 1')], ['candle']],
  [
    'a candle that is gone',
    [
      `DELETE FROM matching.candle WHERE interval_ms = 300000
          AND start_ms = (SELECT min(start_ms) FROM matching.candle WHERE interval_ms = 300000)`,
    ],
    ['candle'],
  ],
  [
    'a candle of no trades',
    [
      'INSERT INTO matching.candle SELECT start_ms - 86400000, last_seq, trades, interval_ms, last_index, open, high, low, close, engine, market, lots, value FROM matching.candle WHERE interval_ms = 60000 ORDER BY start_ms LIMIT 1',
    ],
    ['candle'],
  ],
  [
    'whose number it is',
    ["UPDATE matching.account SET account = '0190a000-0000-7000-8000-000000000001' WHERE number = 1"],
    ['movement', 'net'],
  ],
  [
    'a transfer of a portion',
    ["UPDATE ledger.transfer SET amount = amount + 1 WHERE code = 'trade' AND reference LIKE '%/p2/%'"],
    ['net'],
  ],
  ['the head', ['UPDATE matching.head SET seq = seq + 1'], ['head']],
  ['what the house was paid', ['UPDATE matching.house SET charged = charged + 1 WHERE asset = 1'], ['house']],
  ['a unit of an asset', ['UPDATE matching.asset SET unit = 1 WHERE no = 0'], ['chain', 'movement', 'net']],
])('%s', async (_, statements, checks) => {
  const found = new Set((await problemsAfter(...statements)).map(({ check }) => check));
  for (const check of checks) expect(found).toContain(check);
});
