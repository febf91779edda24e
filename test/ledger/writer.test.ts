/** Group commit on a real PostgreSQL: what is written together, what is refused, and what is not known. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { AssetId } from '#core/money';
import { inTransaction, openPool, type Pool } from '#infra/db';
import { createLedger, type Ledger } from '#ledger';
import {
  chainHot,
  commandsPerBatchMax,
  customerMain,
  type TransferCommand,
  type TransferResult,
} from '#ledger/contract';
import { createLedgerWriter, type LedgerWriter } from '../../ledger/writer.ts';
import { databaseForThisFile } from '../support/database.ts';
import { accountOf, ether, freshId, pending, post, postPending, walletOf } from './fixture.ts';

const applicationName = 'test-writer';
/** For a connection to be made on a busy machine. */
const soon = { timeout: 10_000 };
const hot = chainHot(walletOf('w'));
const alice = customerMain(accountOf('alice'));

let pool: Pool;
let bystander: Pool;
let ledger: Ledger;
let writer: LedgerWriter;
let newestBefore: string;

beforeAll(async () => {
  const connectionString = await databaseForThisFile();
  pool = openPool({ connectionString, applicationName });
  bystander = openPool({ connectionString, applicationName: 'test-bystander' });
  ledger = createLedger({ pool: bystander });
  await ledger.openAccounts(
    bystander,
    [hot, alice].map((path) => ({ path, asset: ether })),
  );
});
beforeEach(async () => {
  writer = createLedgerWriter(pool);
  const { rows } = await bystander.query<{ batch_no: string }>('SELECT batch_no FROM ledger.head');
  newestBefore = rows[0]?.batch_no ?? '0';
});
afterAll(async () => {
  expect(await ledger.verify()).toEqual({ ok: true, problems: [] });
  await Promise.all([pool.end(), bystander.end()]);
});

/** Of the batches of this test. */
async function batchSizes(): Promise<number[]> {
  const { rows } = await bystander.query<{ size: number }>(
    'SELECT (last_seq - first_seq + 1)::int AS size FROM ledger.batch WHERE no > $1 ORDER BY no',
    [newestBefore],
  );
  return rows.map(({ size }) => size);
}
/** In the order of the journal. */
async function written(commands: readonly TransferCommand[]): Promise<string[]> {
  const { rows } = await bystander.query<{ id: string }>(
    "SELECT 'tr_' || id AS id FROM ledger.transfer WHERE 'tr_' || id = ANY ($1) ORDER BY seq",
    [commands.map(({ id }) => id)],
  );
  return rows.map(({ id }) => id);
}
/** Backends of the writer that wait for the head. */
async function waiting(): Promise<number[]> {
  const { rows } = await bystander.query<{ pid: number }>(
    "SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock' ORDER BY query_start",
    [applicationName],
  );
  return rows.map(({ pid }) => pid);
}
/** Nobody can write until `work` has ended. */
async function whileHeadIsHeld<T>(work: () => Promise<T>): Promise<T> {
  return await inTransaction(bystander, async (tx) => {
    await tx.query('SELECT FROM ledger.head FOR UPDATE');
    return await work();
  });
}
/** Submits one command and waits until its batch is on its way, so that what is submitted next must queue. */
async function occupy(by: LedgerWriter): Promise<{ readonly done: Promise<TransferResult[]> }> {
  const done = by.submit(posts(1));
  // It may be awaited after the test has failed.
  done.catch(() => undefined);
  await expect.poll(waiting, soon).toHaveLength(1);
  return { done };
}
const posts = (count: number): TransferCommand[] => Array.from({ length: count }, () => post(hot, alice, 1n));
const statusesOf = (results: readonly TransferResult[]): string[] => results.map(({ status }) => status);

describe('what is written together', () => {
  test('alone at once; under load one batch for all that came meanwhile, with each its own results', async () => {
    expect(statusesOf(await writer.submit(posts(1)))).toEqual(['ok']);
    expect(statusesOf(await writer.submit(posts(2)))).toEqual(['ok', 'ok']);
    const hold = pending(alice, hot, 1n);
    const submissions = [
      posts(3),
      [post(alice, hot, 1_000_000n)],
      [hold, postPending(hold.id, 2n)],
      ...Array.from({ length: 40 }, () => posts(1)),
    ];
    const results = await whileHeadIsHeld(async () => {
      await occupy(writer);
      return { promise: Promise.all(submissions.map((commands) => writer.submit(commands))) };
    }).then(({ promise }) => promise);
    expect(results.map((each) => each.map(({ id }) => id))).toEqual(
      submissions.map((commands) => commands.map(({ id }) => id)),
    );
    expect(results.slice(0, 3).map(statusesOf)).toEqual([
      ['ok', 'ok', 'ok'],
      ['insufficient'],
      ['ok', 'amount-exceeds-pending'],
    ]);
    expect(await batchSizes()).toEqual([1, 2, 1, 3 + 1 + 40]);
    const applied = results.flat().filter(({ status }) => status === 'ok');
    expect(await written(submissions.flat())).toEqual(applied.map(({ id }) => id));
  });

  test('no batch is larger than a group but for one submission, which stays whole', async () => {
    writer = createLedgerWriter(pool, { groupCommandsMax: 10 });
    const sizes = [4, 4, 4, 25, 4];
    const commands = sizes.map(posts);
    const all = await whileHeadIsHeld(async () => {
      await occupy(writer);
      return { done: Promise.all(commands.map((each) => writer.submit(each))) };
    });
    await all.done;
    expect(await batchSizes()).toEqual([1, 8, 4, 25, 4]);
    expect(await written(commands.flat())).toEqual(commands.flat().map(({ id }) => id));
    expect(await writer.submit(posts(commandsPerBatchMax))).toHaveLength(commandsPerBatchMax);
    expect((await batchSizes()).at(-1)).toBe(commandsPerBatchMax);
  });

  test('a second group goes on its way when there is much to do, never a third', async () => {
    const all = await whileHeadIsHeld(async () => {
      const { done: first } = await occupy(writer);
      const queued = Array.from({ length: 5 }, () => writer.submit(posts(500)));
      await expect.poll(waiting, soon).toHaveLength(2);
      return { done: Promise.all([first, ...queued]) };
    });
    await all.done;
    // Of two that are on their way either may come first.
    const [alone, ...others] = await batchSizes();
    expect([alone, ...others.sort((a, b) => a - b)]).toEqual([1, 500, 2_000]);
  });
});

describe('one caller and another', () => {
  test('a chain left open does not take the next command of another for its end', async () => {
    const open = posts(2).map((command) => ({ ...command, linked: true }));
    const [before, after] = [posts(1), posts(1)];
    const all = await whileHeadIsHeld(async () => {
      await occupy(writer);
      return { done: Promise.all([before, open, after].map((commands) => writer.submit(commands))) };
    });
    expect((await all.done).map(statusesOf)).toEqual([['ok'], ['linked-failed', 'invalid'], ['ok']]);
    expect(await written(open)).toEqual([]);
  });

  test('a chain that fails takes none of the others with it, and is never cut', async () => {
    writer = createLedgerWriter(pool, { groupCommandsMax: 3 });
    const chain = [...posts(4), post(alice, hot, 1_000_000n)].map((command, at) => ({
      ...command,
      linked: at < 4,
    }));
    const [before, after] = [posts(2), posts(2)];
    const all = await whileHeadIsHeld(async () => {
      await occupy(writer);
      return { done: Promise.all([before, chain, after].map((commands) => writer.submit(commands))) };
    });
    expect((await all.done).map(statusesOf)).toEqual([
      ['ok', 'ok'],
      ['linked-failed', 'linked-failed', 'linked-failed', 'linked-failed', 'insufficient'],
      ['ok', 'ok'],
    ]);
  });

  test('what PostgreSQL refuses as a whole fails alone, and the order of the others is kept', async () => {
    const poison = postPending(freshId(), 1n, 'eip155:1/\0' as AssetId);
    const submissions = Array.from({ length: 20 }, (_, at) => (at % 7 === 3 ? [poison] : posts(2)));
    const all = await whileHeadIsHeld(async () => {
      await occupy(writer);
      return { done: Promise.allSettled(submissions.map((commands) => writer.submit(commands))) };
    });
    const settled = await all.done;
    for (const [at, { status, ...rest }] of settled.entries())
      if (at % 7 === 3) expect(rest).toMatchObject({ reason: { code: '22021' } });
      else expect(status).toBe('fulfilled');
    const good = submissions.flat().filter((command) => command !== poison);
    expect(await written(good)).toEqual(good.map(({ id }) => id));
    // Three of twenty were found by halving, not by writing each alone.
    expect((await batchSizes()).length).toBeLessThan(12);
  });
});

test('a full queue refuses what is limited, writes nothing of it, and takes it later', async () => {
  writer = createLedgerWriter(pool, { queuedCommandsMax: 10 });
  const late = posts(3);
  const all = await whileHeadIsHeld(async () => {
    const { done: first } = await occupy(writer);
    const queued = [posts(5), posts(3)].map((commands) => writer.submit(commands));
    await expect(writer.submit(late)).rejects.toMatchObject({
      code: 'LEDGER_WRITER_BUSY',
      kind: 'limited',
      details: { queued: 8, max: 10 },
    });
    const fits = writer.submit(posts(2));
    await expect(writer.submit(posts(1))).rejects.toMatchObject({ code: 'LEDGER_WRITER_BUSY' });
    return { done: Promise.all([first, ...queued, fits]) };
  });
  await all.done;
  expect(await written(late)).toEqual([]);
  expect(statusesOf(await writer.submit(late))).toEqual(['ok', 'ok', 'ok']);
  expect(await batchSizes()).toEqual([1, 10, 3]);
});

describe('the outcome is not known', () => {
  test('when the connection ends before the commit; what waits behind goes on, and the same may be sent again', async () => {
    const lost = posts(2);
    const behind = posts(1);
    const all = await whileHeadIsHeld(async () => {
      const submitted = writer.submit(lost);
      const refused = expect(submitted).rejects.toMatchObject({
        code: 'LEDGER_OUTCOME_UNKNOWN',
        kind: 'unavailable',
      });
      await expect.poll(waiting, soon).toHaveLength(1);
      const done = writer.submit(behind);
      const [pid] = await waiting();
      await bystander.query('SELECT pg_terminate_backend($1)', [pid]);
      await refused;
      return { done };
    });
    expect(statusesOf(await all.done)).toEqual(['ok']);
    expect(await written(lost)).toEqual([]);
    expect(statusesOf(await writer.submit(lost))).toEqual(['ok', 'ok']);
  });

  test('when it ends after the commit: sent again it exists, and counts once', async () => {
    let isDeaf = true;
    const query = pool.query.bind(pool) as (statement: unknown) => Promise<unknown>;
    const deafPool = {
      query: async (statement: { name: string }) => {
        const answer = await query(statement);
        if (isDeaf && statement.name === 'ledger-apply-batch')
          throw new Error('Connection terminated unexpectedly');
        return answer;
      },
    } as unknown as Pool;
    const deaf = createLedgerWriter(deafPool);
    const [one, other] = [posts(2), posts(1)];
    const settled = await Promise.allSettled([one, other].map((commands) => deaf.submit(commands)));
    // Written together, unknown together: nothing tells which of them was the trouble.
    for (const each of settled) expect(each).toMatchObject({ reason: { code: 'LEDGER_OUTCOME_UNKNOWN' } });
    expect(await batchSizes()).toEqual([3]);
    isDeaf = false;
    expect(statusesOf(await deaf.submit([...one, ...other]))).toEqual(['exists', 'exists', 'exists']);
    expect(await batchSizes()).toEqual([3]);
  });
});
