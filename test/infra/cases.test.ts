import { afterAll, beforeAll, expect, test } from 'vitest';
import { closeCase, haltOf, liftHalt, listHalts, openCase, openCases, setHalt } from '#infra/cases';
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
    await closeCase(tx, id, 'rescanned by hand');
  });
  expect(await openCases(pool)).toEqual([]);
  await expect(
    run(async (tx) => {
      await closeCase(tx, id, 'again');
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

test('a halt keeps its first reason until it is lifted', async () => {
  const scope = 'chain:eip155:1';
  expect(await haltOf(pool, scope)).toBeUndefined();
  for (const reason of ['first', 'second'])
    await run(async (tx) => {
      await setHalt(tx, { scope, reason });
    });
  expect(await haltOf(pool, scope)).toMatchObject({ scope, reason: 'first' });
  expect(await listHalts(pool)).toMatchObject([{ scope, reason: 'first' }]);
  expect(await run(async (tx) => await liftHalt(tx, scope))).toBe(true);
  expect(await run(async (tx) => await liftHalt(tx, scope))).toBe(false);
  expect(await haltOf(pool, scope)).toBeUndefined();
});
