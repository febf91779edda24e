/** The roles of docs/operations/settlement.md can do what their processes do, and change nothing that was settled. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newId } from '#core/ids';
import { openCases } from '#infra/cases';
import { openPool, type Pool } from '#infra/db';
import { migrate } from '#infra/migrations';
import { readEventsOfCodes } from '#ledger';
import {
  candlesAtHead,
  caseOfRefusal,
  debitOf,
  ensureTradePartitions,
  fillsOf,
  findEngine,
  openEngine,
  reconcile,
  tradesOf,
  verifySettlement,
} from '../../../matching/settlement/index.ts';
import { databaseForThisFile, superuserOf } from '../../support/database.ts';
import { config, customer, type Exchange, openExchange, randomCommand, seeded, usd } from './fixture.ts';

const suffix = randomBytes(6).toString('hex');
const names = ['engine', 'process', 'auditor'] as const;
const roleOf = (name: (typeof names)[number]): string => `test_${name}_${suffix}`;
const denied = { code: '42501' };

let superuser: pg.Client;
let engine: Pool;
let trading: Pool;
let auditor: Pool;
let exchange: Exchange;

/** The block of SQL under the heading, for the roles of this run. */
function documented(): string {
  const text = readFileSync(new URL('../../../docs/operations/settlement.md', import.meta.url), 'utf8');
  const block = text.split('## Roles\n')[1]?.split('```sql\n')[1]?.split('\n```')[0];
  if (block === undefined) throw new Error('docs/operations/settlement.md has no SQL under Roles');
  return names
    .reduce((sql, name) => sql.replaceAll(`strongroom_${name}`, roleOf(name)), block)
    .replaceAll(/CREATE ROLE .*\n/g, '');
}

beforeAll(async () => {
  const connectionString = await databaseForThisFile();
  superuser = await superuserOf(connectionString);
  for (const name of names) await superuser.query(`CREATE ROLE ${roleOf(name)} LOGIN PASSWORD 'x'`);
  const owner = openPool({ connectionString, applicationName: 'test-owner' });
  await owner.query(documented());
  await owner.end();
  const as = (name: (typeof names)[number]): Pool => {
    const own = new URL(connectionString);
    own.username = roleOf(name);
    own.password = 'x';
    return openPool({ connectionString: own.href, applicationName: roleOf(name) });
  };
  [engine, trading, auditor] = [as('engine'), as('process'), as('auditor')];
});
afterAll(async () => {
  await Promise.all([engine.end(), trading.end(), auditor.end()]);
  for (const name of names) await superuser.query(`DROP OWNED BY ${roleOf(name)}; DROP ROLE ${roleOf(name)}`);
});

test("the engine's role does all that settling takes", async () => {
  expect(await migrate(engine)).toEqual([]);
  exchange = await openExchange(engine, 'main', 4);
  const { sequencer } = exchange;
  const random = seeded(6);
  for (let n = 0; n < 200; n++) sequencer.run(randomCommand(random, 4, sequencer.journal.length));
  await exchange.moveIn('in', 2, usd, 500n);
  await exchange.feed.step();
  const settler = await exchange.settler({ tradesMax: 30 });
  for (const { slots, count } of sequencer.lots) settler.offer(slots, 0, count);
  await settler.drain(sequencer.engine.seq);
  expect(settler.head.trades).toBeGreaterThan(20n);
  const { made } = { made: [], ...(await ensureTradePartitions(engine, exchange.engine)) };
  expect(made).toHaveLength(2);
  const { ledger } = exchange;
  const books = { pool: engine, engine: exchange.engine, ledger, readEventsOfCodes };
  expect(await reconcile(books, sequencer.engine)).toMatchObject({ differences: [] });
  await caseOfRefusal(engine, { nowMs: () => Date.now() })({
    engine: 'main',
    portion: 1n,
    error: Object.assign(new Error('refused'), { code: 'X' }) as never,
  });
  expect(await openCases(engine)).toHaveLength(1);
});

test('who reads sees history, candles and proof', async () => {
  for (const role of [auditor, trading]) {
    const found = await findEngine(role, 'main', config);
    if (found === undefined) throw new Error('no engine');
    expect(await fillsOf(role, found, 1, { limit: 5 })).toHaveLength(5);
    expect(await tradesOf(role, found, 0, { limit: 5 })).toHaveLength(5);
    expect((await candlesAtHead(role, found, { market: 0, sinceMs: 0 })).candles1m.length).toBeGreaterThan(0);
    expect(await debitOf(role, found, 1, 7n)).toBeUndefined();
    expect(await verifySettlement(role, found)).toEqual([]);
    await expect(openEngine(role, 'mine', config)).rejects.toMatchObject(denied);
    await expect(ensureTradePartitions(role, found)).rejects.toMatchObject(denied);
  }
});

test("the api's role writes down what is asked for, and how it ended", async () => {
  const id = newId('spt', { nowMs: () => Date.now() }, { bytes: (length) => randomBytes(length) });
  const [uuid, account] = [id, customer(1)].map((value) => value.slice(4));
  const insert = `INSERT INTO matching.spot_transfer (id, engine, account, asset, units, to_spot, client_id, at_ms)
                    VALUES ($1, 1, $2, 'ledger:usd', 5, false, 9, 1)`;
  await trading.query(insert, [uuid, account]);
  for (const role of [engine, auditor])
    await expect(role.query(insert, [uuid, account])).rejects.toMatchObject(denied);
  await trading.query('UPDATE matching.spot_transfer SET debit_by = 9, sent = 1 WHERE id = $1', [uuid]);
  await trading.query("UPDATE matching.spot_transfer SET state = 'done' WHERE id = $1", [uuid]);
  await expect(trading.query('UPDATE matching.spot_transfer SET units = 6')).rejects.toMatchObject(denied);
});

describe('refused to every role', () => {
  const columnOf = async (table: string): Promise<string> => {
    const { rows } = await superuser.query<{ name: string }>(
      'SELECT attname AS name FROM pg_attribute WHERE attrelid = $1::regclass AND attnum = 1',
      [`matching.${table}`],
    );
    return rows[0]?.name ?? '';
  };
  test('to add, change, remove or reshape anything that is settled', async () => {
    const { rows } = await superuser.query<{ name: string }>(
      `SELECT relname AS name FROM pg_class WHERE relnamespace = 'matching'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1`,
    );
    const tables = rows.map(({ name }) => name);
    expect(tables).toEqual(
      expect.arrayContaining(['candle', 'head', 'house', 'movement', 'portion', 'trade', 'trade_e1_from_1']),
    );
    for (const table of tables)
      for (const statement of [
        `UPDATE matching.${table} SET ${await columnOf(table)} = DEFAULT`,
        `DELETE FROM matching.${table}`,
        `TRUNCATE matching.${table}`,
        `ALTER TABLE matching.${table} DISABLE TRIGGER ALL`,
        `DROP TABLE matching.${table}`,
        ...(table === 'spot_transfer' ? [] : [`INSERT INTO matching.${table} DEFAULT VALUES`]),
      ])
        for (const role of [engine, trading, auditor])
          await expect(role.query(statement), statement).rejects.toMatchObject(denied);
  });

  test('functions that are not its work', async () => {
    const allowed = async (role: Pool): Promise<string[]> => {
      const { rows } = await role.query<{ name: string }>(
        `SELECT proname AS name FROM pg_proc WHERE pronamespace = 'matching'::regnamespace
            AND has_function_privilege(oid, 'EXECUTE') ORDER BY 1`,
      );
      return rows.map(({ name }) => name);
    };
    const reading = ['fills_of', 'trades_before', 'trades_of', 'verify'];
    expect(await allowed(auditor)).toEqual(reading);
    expect(await allowed(trading)).toEqual(reading);
    expect(await allowed(engine)).toEqual(
      [
        ...reading,
        'advance_fed',
        'ensure_trade_partitions',
        'give_numbers',
        'open_engine',
        'record_portion',
      ].sort(),
    );
    for (const statement of [
      'SELECT matching.add_trade_partitions(1::smallint, 100000000)',
      `SELECT matching.grant_engine('${roleOf('auditor')}')`,
      'CREATE TABLE matching.mine ()',
      "SET session_replication_role = 'replica'",
    ])
      await expect(engine.query(statement), statement).rejects.toMatchObject(denied);
  });
});
