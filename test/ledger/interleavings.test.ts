/**
 * Writers that meet on the same accounts, ids and holds give, in whatever order they come, the results and balances of one
 * writer that sends the same in the order of the journal. So they also conserve: that one does.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { uuidOf } from '#core/ids';
import { inTransaction, openPool, type Pool } from '#infra/db';
import { createLedger, type Ledger, recompute } from '#ledger';
import { chainHot, suspense, type TransferCommand, type TransferResult } from '#ledger/contract';
import { databaseForThisFile } from '../support/database.ts';
import {
  accountsOf,
  commandOf,
  commandShape,
  compareBalances,
  fundOf,
  pathsOf,
  type Run,
  usualOf,
} from './command-shapes.ts';
import { ether, pending, post, walletOf } from './fixture.ts';
import { LedgerModel } from './model.ts';

/** How a batch gets in: by one of two processes that group, in a transaction of its own, or in one that is taken back. */
const ways = ['first', 'second', 'own', 'taken back'] as const;
interface Batch {
  readonly way: (typeof ways)[number];
  /** How long its own transaction keeps the others waiting, ms. */
  readonly holdMs: number;
  /** A post that nothing can refuse, and that tells where in the journal the batch came. */
  readonly witness: TransferCommand;
  readonly commands: readonly TransferCommand[];
}
interface Sent extends Batch {
  readonly results: readonly TransferResult[];
}

const pools: Pool[] = [];
const ledgers: Ledger[] = [];
const [witnessDebit, witnessCredit] = [chainHot(walletOf('witness')), suspense(walletOf('witness'))];
beforeAll(async () => {
  const connectionString = await databaseForThisFile();
  for (const applicationName of ['test-first', 'test-second']) {
    const pool = openPool({ connectionString, applicationName, connectionsMax: 8 });
    pools.push(pool);
    ledgers.push(createLedger({ pool }));
  }
});
afterAll(async () => {
  await Promise.all(pools.map((pool) => pool.end()));
});

const batchShape = fc.record({
  way: fc.constantFrom(...ways.slice(0, 3), ...ways.slice(0, 3), ...ways),
  holdMs: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat({ max: 4 }) }),
  isUsual: fc.boolean(),
  shapes: fc.array(commandShape, { minLength: 1, maxLength: 8 }),
});
const writersShape = fc.array(fc.array(batchShape, { minLength: 2, maxLength: 6, size: 'max' }), {
  minLength: 2,
  maxLength: 6,
  size: 'max',
});

type Shapes = typeof writersShape extends fc.Arbitrary<infer T> ? T : never;

/** The batches of each writer. What one sends, others may send again, post or void. */
function writersOf(shapes: Shapes, run: Run): Batch[][] {
  return shapes.map((batches) =>
    batches.map(({ way, holdMs, isUsual, shapes: commandShapes }) => {
      const witness = post(witnessDebit, witnessCredit, 1n);
      const commands = commandShapes.map((shape) => {
        const again = shape.repeats === undefined || isUsual ? undefined : run.sent[shape.repeats];
        const command = again ?? (isUsual ? usualOf(shape, run) : commandOf(shape, run));
        run.sent.push(command);
        return command;
      });
      return { way, holdMs, witness, commands: [witness, ...commands] };
    }),
  );
}

const takenBack = new Error('taken back');
async function send(batch: Batch): Promise<Sent> {
  const [first, second] = ledgers;
  const [pool] = pools;
  if (first === undefined || second === undefined || pool === undefined) throw new RangeError('no ledgers');
  const { way, holdMs, commands } = batch;
  if (way === 'first' || way === 'second')
    return { ...batch, results: await (way === 'first' ? first : second).apply(commands) };
  let results: readonly TransferResult[] = [];
  await inTransaction(pool, async (tx) => {
    results = await first.apply(commands, tx);
    if (holdMs > 0) await tx.query('SELECT pg_sleep($1)', [holdMs / 1_000]);
    if (way === 'taken back') throw takenBack;
  }).catch((error: unknown) => {
    if (error !== takenBack) throw error;
  });
  return { ...batch, results };
}

/** In the order of the journal, with the ledger's time of each. */
async function inOrder(sent: readonly Sent[]): Promise<{ sent: Sent; recordedMs: number }[]> {
  const byWitness = new Map(sent.map((one) => [uuidOf(one.witness.id), one]));
  const { rows } = await (pools[0] as Pool).query<{ id: string; recorded_ms: string }>(
    `SELECT t.id, b.recorded_ms FROM ledger.transfer AS t
       JOIN ledger.batch AS b ON t.seq BETWEEN b.first_seq AND b.last_seq
      WHERE t.id = ANY ($1) ORDER BY t.seq`,
    [[...byWitness.keys()]],
  );
  return rows.map(({ id, recorded_ms }) => ({
    sent: byWitness.get(id) as Sent,
    recordedMs: Number.parseInt(recorded_ms, 10),
  }));
}

async function deadlocks(): Promise<unknown> {
  const { rows } = await (pools[0] as Pool).query(
    'SELECT pg_stat_clear_snapshot(), deadlocks FROM pg_stat_database WHERE datname = current_database()',
  );
  return rows;
}

const seen = new Map<string, number>();
test('writers that meet in any way are as one after another', { timeout: 180_000 }, async () => {
  const [ledger] = ledgers as [Ledger];
  const [pool] = pools as [Pool];
  const witnesses = [witnessDebit, witnessCredit].map((path) => ({ path, asset: ether }));
  await ledger.openAccounts(pool, witnesses);
  const deadlocksBefore = await deadlocks();
  let number = 0;
  await fc.assert(
    fc.asyncProperty(writersShape, async (shapes) => {
      const run: Run = { number: ++number, paths: pathsOf(number), sent: [], fresh: 0 };
      const model = new LedgerModel(0);
      const accounts = accountsOf(run.paths);
      await ledger.openAccounts(pool, accounts);
      for (const { path, asset } of [...accounts, ...witnesses]) model.open(path, asset);
      const [a = witnessCredit, b = witnessCredit, , hot = witnessDebit] = run.paths;
      const holds = Array.from({ length: 8 }, (_, at) => pending(at % 2 === 0 ? a : b, hot, 1n));
      run.sent.push(...holds);
      const funds = [...fundOf(number), ...holds];
      expect((await ledger.apply(funds)).map(({ status }) => status)).toEqual(funds.map(() => 'ok'));
      model.apply(funds, 0);

      const sent = (
        await Promise.all(
          writersOf(shapes, run).map(async (batches) => {
            const done: Sent[] = [];
            for (const batch of batches) done.push(await send(batch));
            return done;
          }),
        )
      ).flat();

      const ordered = await inOrder(sent);
      expect(ordered).toHaveLength(sent.filter(({ way }) => way !== 'taken back').length);
      for (const { sent: one, recordedMs } of ordered) {
        expect(one.results.map(({ id: _id, ...result }) => result)).toEqual(
          model.apply(one.commands, recordedMs),
        );
        for (const { status } of one.results) seen.set(status, (seen.get(status) ?? 0) + 1);
      }
      await compareBalances(ledger, model, run.paths);
    }),
    // What others did meanwhile does not come back, so a smaller example would be another one.
    { numRuns: 40, endOnFailure: true },
  );
  expect(await ledger.verify()).toEqual({ ok: true, problems: [] });
  expect((await recompute(pool)).problems).toEqual([]);
  expect(await deadlocks()).toEqual(deadlocksBefore);
  // They met: ids, money, holds and chains of one were in the way of another. How often is chance.
  for (const status of ['ok', 'exists', 'conflict', 'insufficient', 'pending-resolved', 'linked-failed'])
    expect(seen.get(status) ?? 0, status).toBeGreaterThan(0);
});
