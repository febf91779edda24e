/** The two ways through `ledger.apply_batch`, all at once and one by one, give the same answer for the same commands. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { inTransaction, openPool, type Pool, type Tx } from '#infra/db';
import { createLedger } from '#ledger';
import {
  type AccountPath,
  chainHot,
  customerMain,
  type MoveCommand,
  suspense,
  type TransferCommand,
  type TransferResult,
} from '#ledger/contract';
import { applyBatch } from '../../ledger/batch-call.ts';
import { databaseForThisFile } from '../support/database.ts';
import { accountOf, atClock, ether, gold, post, walletOf, wayOfNewestBatch } from './fixture.ts';

const nowMs = 4_000_000_000_000;
const hot = chainHot(walletOf('w'));
const source = suspense(walletOf('w'));
const customers = ['a', 'b', 'c'].map((name) => customerMain(accountOf(name)));
const paths: readonly AccountPath[] = [...customers, hot, source];
const pathOf = (index: number): AccountPath => paths[index % paths.length] ?? hot;

let pool: Pool;
beforeAll(async () => {
  pool = openPool({ connectionString: await databaseForThisFile(), applicationName: 'test-ledger-ways' });
  const ledger = createLedger({ pool });
  const assets = [ether, gold];
  await ledger.openAccounts(
    pool,
    assets.flatMap((asset) => paths.map((path) => ({ path, asset }))),
  );
  await ledger.apply(
    assets.flatMap((asset) => [
      post(hot, source, 1_000n, { asset }),
      ...customers.map((customer) => post(hot, customer, 200n, { asset })),
    ]),
  );
});
afterAll(async () => {
  await pool.end();
});

/** Everything the ledger keeps, but for who wrote it. */
async function contentOf(tx: Tx): Promise<unknown> {
  const tables = ['balance', 'transfer', 'transfer_id', 'pending', 'batch', 'head'];
  const content: Record<string, unknown> = {};
  for (const table of tables) {
    const { rows } = await tx.query<{ line: string }>(
      `SELECT t::text AS line FROM ledger.${table} AS t ORDER BY 1`,
    );
    content[table] = rows.map(({ line }) => line);
  }
  return content;
}

interface Outcome {
  readonly way: string;
  readonly results: readonly TransferResult[];
  readonly content: unknown;
}
class TakenBack extends Error {
  readonly outcome: Outcome;
  constructor(outcome: Outcome) {
    super('taken back');
    this.outcome = outcome;
  }
}
/** What a batch does and answers; it is taken back. */
async function outcomeOf(commands: readonly TransferCommand[]): Promise<Outcome> {
  try {
    return await inTransaction(pool, async (tx) => {
      const clocked = atClock(tx, () => nowMs);
      const results = await applyBatch(clocked, commands);
      throw new TakenBack({ results, way: await wayOfNewestBatch(tx), content: await contentOf(tx) });
    });
  } catch (error) {
    if (error instanceof TakenBack) return error.outcome;
    throw error;
  }
}

const shape = fc.record({
  debit: fc.nat({ max: paths.length - 1 }),
  offset: fc.integer({ min: 1, max: paths.length - 1 }),
  units: fc.bigInt({ min: 1n, max: 20n }),
  isGold: fc.boolean(),
  hold: fc.boolean(),
  timeoutMs: fc.option(fc.integer({ min: 1, max: 1000 }), { nil: undefined }),
  at: fc.option(fc.integer({ min: 1, max: 1000 }), { nil: undefined }),
  linked: fc.boolean(),
});
test('same results, balances, journal, holds and hashes', { timeout: 60_000 }, async () => {
  const ways = { 'at once': 0, 'one by one': 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(shape, { minLength: 1, maxLength: 12 }), async (shapes) => {
      const commands = shapes.map(
        ({ debit, offset, units, isGold, hold, timeoutMs, at, linked }, index): MoveCommand => {
          const command = post(pathOf(debit), pathOf(debit + offset), units, {
            asset: isGold ? gold : ether,
            linked: linked && index < shapes.length - 1,
            ...(at === undefined ? {} : { at }),
          });
          if (!hold) return command;
          return { ...command, kind: 'pending', ...(timeoutMs === undefined ? {} : { timeoutMs }) };
        },
      );
      // A command that is refused whatever there is sends the whole batch the other way, and leaves no trace itself.
      const harmless = post(hot, hot, 1n);
      const atOnce = await outcomeOf(commands);
      const oneByOne = await outcomeOf([...commands, harmless]);
      expect(oneByOne.way).toBe('one by one');
      ways[atOnce.way as keyof typeof ways]++;
      expect(oneByOne.results).toEqual([...atOnce.results, { id: harmless.id, status: 'invalid' }]);
      expect(oneByOne.content).toEqual(atOnce.content);
    }),
    { numRuns: 60 },
  );
  expect(ways['at once']).toBeGreaterThan(30);
});
