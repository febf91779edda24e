import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  assignCase,
  closeCase,
  haltOf,
  liftHalt,
  listHalts,
  noteCase,
  openCase,
  openCases,
  readCase,
  setHalt,
} from '#infra/cases';
import { inTransaction, openPool, type Pool, type Tx } from '#infra/db';
import { databaseForThisFile } from '../support/database.ts';

let pool: Pool;
beforeAll(async () => {
  pool = openPool({ connectionString: await databaseForThisFile(), applicationName: 'test' });
});
afterAll(async () => {
  await pool.end();
});
const run = async <T>(work: (tx: Tx) => Promise<T>): Promise<T> => await inTransaction(pool, work);

test('one case per kind and subject is open, whoever opens it and how often', async () => {
  const incident = { kind: 'reorg-after-final', subject: 'chain:eip155:31337', details: { height: 5 } };
  const outcomes = await Promise.all(
    ['case_1', 'case_2', 'case_3'].map(
      async (id) => await run(async (tx) => await openCase(tx, { ...incident, id })),
    ),
  );
  expect(outcomes.filter((outcome) => outcome.opened)).toHaveLength(1);
  expect(new Set(outcomes.map((outcome) => outcome.id)).size).toBe(1);
  const [open] = await openCases(pool);
  expect(open).toMatchObject({ kind: incident.kind, subject: incident.subject, details: { height: 5 } });

  const id = open?.id ?? '';
  await run(async (tx) => {
    await closeCase(tx, id, { resolution: 'rescanned by hand', by: 'ops' });
  });
  expect(await openCases(pool)).toEqual([]);
  await expect(
    run(async (tx) => {
      await closeCase(tx, id, { resolution: 'again', by: 'ops' });
    }),
  ).rejects.toMatchObject({ code: 'INFRA_CASE_NOT_OPEN' });
  expect(await run(async (tx) => await openCase(tx, { ...incident, id }))).toEqual({ id, opened: false });
  expect(await run(async (tx) => await openCase(tx, { ...incident, id: 'case_9' }))).toMatchObject({
    opened: true,
  });
});

test('the id of one case is refused for another', async () => {
  const incident = { id: 'case_a', kind: 'stuck', subject: 'wd_1', details: null };
  await run(async (tx) => await openCase(tx, incident));
  await expect(run(async (tx) => await openCase(tx, { ...incident, subject: 'wd_2' }))).rejects.toMatchObject(
    {
      code: 'INFRA_CASE_ID_REUSED',
    },
  );
});

test('a halt keeps all its reasons until it is lifted', async () => {
  const scope = 'chain:eip155:1';
  expect(await haltOf(pool, scope)).toBeUndefined();
  for (const reason of ['first', 'second', 'first', 'second'])
    await run(async (tx) => {
      await setHalt(tx, { scope, reason });
    });
  expect(await haltOf(pool, scope)).toMatchObject({ scope, reason: 'first; second' });
  expect(await listHalts(pool)).toMatchObject([{ scope, reason: 'first; second' }]);
  const lift = { scope, reason: 'looked at', people: ['ana', 'ben'] };
  expect(await run(async (tx) => await liftHalt(tx, lift))).toBe(true);
  expect(await run(async (tx) => await liftHalt(tx, lift))).toBe(false);
  expect(await haltOf(pool, scope)).toBeUndefined();
  // The same scope can be halted again, and what happened is kept in order.
  await run(async (tx) => {
    await setHalt(tx, { scope, reason: 'third' });
  });
  const { rows } = await pool.query<{ event: string; reason: string; people: string[] }>(
    'SELECT event, reason, people FROM infra.halt_event WHERE scope = $1 ORDER BY id',
    [scope],
  );
  expect(rows).toEqual([
    { event: 'set', reason: 'first', people: [] },
    { event: 'set', reason: 'second', people: [] },
    { event: 'lifted', reason: 'looked at', people: ['ana', 'ben'] },
    { event: 'set', reason: 'third', people: [] },
  ]);
  expect(await haltOf(pool, scope)).toMatchObject({ reason: 'third' });
  for (let at = 0; at < 30; at++)
    await run(async (tx) => {
      await setHalt(tx, { scope, reason: `reason ${at}` });
    });
  expect((await haltOf(pool, scope))?.reason.split('; ')).toHaveLength(20);
});

test('a halt that is set while it is being lifted stands', async () => {
  const scope = 'wallet:wal_1';
  await run(async (tx) => {
    await setHalt(tx, { scope, reason: 'first' });
  });
  let second: Promise<void> | undefined;
  await run(async (tx) => {
    await liftHalt(tx, { scope, reason: 'looked at', people: ['ana', 'ben'] });
    second = run(async (other) => {
      await setHalt(other, { scope, reason: 'second' });
    });
    // It waits for this transaction; were it not to, it would find the halt still there and set none.
    expect(await Promise.race([second.then(() => 'set'), setTimeout(200, 'waits')])).toBe('waits');
  });
  await second;
  expect(await haltOf(pool, scope)).toMatchObject({ reason: 'second' });
});

test('a halt set by hand, as the manual says, is one like any other', async () => {
  const page = readFileSync('docs/operations/reconciliation.md', 'utf8');
  const [, statement = ''] = /```sql\n([^`]+)```/.exec(page) ?? [];
  await pool.query(statement);
  await run(async (tx) => {
    await setHalt(tx, { scope: 'ledger', reason: 'zero sum' });
  });
  expect(await haltOf(pool, 'ledger')).toMatchObject({ reason: 'restored from a backup; zero sum' });
  const lift = { scope: 'ledger', reason: 'looked at', people: ['ana', 'ben'] };
  expect(await run(async (tx) => await liftHalt(tx, lift))).toBe(true);
});

test('a halt is not lifted by one person, nor by plain SQL', async () => {
  const scope = 'ledger';
  await run(async (tx) => {
    await setHalt(tx, { scope, reason: 'zero sum' });
  });
  await expect(
    run(async (tx) => await liftHalt(tx, { scope, reason: 'me', people: ['ana', 'ana'] })),
  ).rejects.toMatchObject({ code: 'CORE_INVARIANT' });
  await expect(pool.query('DELETE FROM infra.halt WHERE scope = $1', [scope])).rejects.toThrow('two people');
  await expect(pool.query('UPDATE infra.halt SET scope = $1', ['other'])).rejects.toThrow('two people');
  await expect(
    pool.query(
      `INSERT INTO infra.halt_event (scope, set_at, event, reason, people)
         SELECT scope, set_at, 'lifted', 'x', '{ana,ana}' FROM infra.halt WHERE scope = $1`,
      [scope],
    ),
  ).rejects.toThrow('check constraint');
  expect(await haltOf(pool, scope)).toBeDefined();
});

test('a case has an owner and a history that nobody changes, and stays closed', async () => {
  const incident = { id: 'case_w', kind: 'mirror', subject: 'chain:hot', details: { difference: '1' } };
  await run(async (tx) => {
    await openCase(tx, incident);
    await assignCase(tx, incident.id, { owner: 'ana', by: 'treasury' });
    await noteCase(tx, incident.id, { note: 'a contract paid us', by: 'treasury' });
    await assignCase(tx, incident.id, { owner: 'ben', by: 'compliance' });
  });
  const open = (await openCases(pool)).find((each) => each.id === incident.id);
  expect(open).toMatchObject({ owner: 'ben' });
  expect(open?.ageMs).toBeGreaterThanOrEqual(0);
  await run(async (tx) => {
    await closeCase(tx, incident.id, { resolution: 'booked', by: 'compliance' });
  });
  const record = await readCase(pool, incident.id);
  expect(record).toMatchObject({ owner: 'ben', closed: { by: 'compliance', resolution: 'booked' } });
  expect(record?.history.map(({ event, actor, note }) => [event, actor, note])).toEqual([
    ['opened', 'system', ''],
    ['assigned', 'treasury', 'ana'],
    ['noted', 'treasury', 'a contract paid us'],
    ['assigned', 'compliance', 'ben'],
    ['closed', 'compliance', 'booked'],
  ]);
  for (const work of [
    async (tx: Tx) => {
      await assignCase(tx, incident.id, { owner: 'cleo', by: 'treasury' });
    },
    async (tx: Tx) => {
      await noteCase(tx, 'case_none', { note: 'x', by: 'treasury' });
    },
  ])
    await expect(run(work)).rejects.toMatchObject({ code: 'INFRA_CASE_NOT_OPEN' });
  for (const statement of [
    "UPDATE infra.case_event SET note = 'other'",
    'DELETE FROM infra.case_event',
    "UPDATE infra.incident_case SET closed_at = NULL, closed_by = NULL, resolution = NULL WHERE id = 'case_w'",
    "DELETE FROM infra.incident_case WHERE id = 'case_w'",
  ])
    await expect(pool.query(statement), statement).rejects.toThrow(/never|closed/);
  expect(await readCase(pool, 'case_none')).toBeUndefined();
});

test('the events of a case have an order, however many people write at once', async () => {
  const id = 'case_many';
  await run(async (tx) => await openCase(tx, { id, kind: 'many', subject: 'x', details: null }));
  const notes = Array.from({ length: 20 }, (_, at) => String(at));
  await Promise.all(
    notes.map(
      async (note) =>
        await run(async (tx) => {
          await noteCase(tx, id, { note, by: 'treasury' });
        }),
    ),
  );
  const record = await readCase(pool, id);
  expect(record?.history).toHaveLength(21);
  expect(new Set(record?.history.slice(1).map((each) => each.note))).toEqual(new Set(notes));
});
