/** Books that are no longer true stop every payment; books that are true stop nothing; a chore that fails is told of. */
import { asyncLocalStorage } from '@temporalio/activity';
import { describe, expect, it } from 'vitest';
import { StrongroomError } from '#core/errors';
import { closeCase, liftHalt, listHalts, openCases, readCase } from '#infra/cases';
import { inTransaction } from '#infra/db';
import { ledgerChores, workflowIds } from '#workflows/contract';
import { createChainActivities, createLedgerActivities } from '../../workflows/activities/index.ts';
import { claimBatch } from '../../workflows/operations/batches.ts';
import { choreTriesMax, tellingFailures } from '../../workflows/operations/chore-failures.ts';
import type { OperationsDeps } from '../../workflows/operations/context.ts';
import { checkLedgerHeads, exportLedgerHead } from '../../workflows/operations/ledger-heads.ts';
import { checkBooks, keepLedger, verifyJournal } from '../../workflows/operations/ledger-keeping.ts';
import { planSweeps } from '../../workflows/operations/sweeps.ts';
import { caseId, chain, oneEther, openBench, type TestBench } from './fixture.ts';

const halts = async (bench: TestBench) => (await listHalts(bench.deps.pool)).map(({ scope }) => scope);
const cases = async (bench: TestBench) => (await openCases(bench.deps.pool)).map(({ kind }) => kind);
const lift = async ({ deps }: TestBench) => {
  await inTransaction(deps.pool, async (tx) => {
    await liftHalt(tx, { scope: 'ledger', reason: 'looked at', people: ['ana', 'ben'] });
  });
};
type Verify = OperationsDeps['ledger']['verify'];
const withLedger = (deps: OperationsDeps, over: Partial<OperationsDeps['ledger']>): OperationsDeps => ({
  ...deps,
  ledger: { ...deps.ledger, ...over },
});
const verifiedUpTo = async ({ deps }: TestBench): Promise<string | undefined> => {
  const { rows } = await deps.pool.query<{ position: string }>(
    "SELECT position FROM operations.progress WHERE scope = 'ledger/verified-batches'",
  );
  return rows[0]?.position;
};
const newestBatch = async ({ deps }: TestBench): Promise<string> => {
  const { rows } = await deps.pool.query<{ no: string }>('SELECT batch_no AS no FROM ledger.head');
  return rows[0]?.no ?? '0';
};
/** As the worker runs an activity, in its n-th try. */
const asTry = async <T>(attempt: number, work: () => Promise<T>): Promise<T> =>
  await asyncLocalStorage.run({ info: { attempt }, heartbeat: () => undefined } as never, work);
const kept = { statement: {}, signature: '' } as never;
const exportedWith = (answers: readonly unknown[]) => () =>
  Promise.resolve({ state: 'exported', head: kept, isNew: true, answers } as never);
const recorded = { party: 1, state: 'recorded', atMs: 1 };

it('true books stop nothing, whatever is done for them', async () => {
  const bench = await openBench();
  await bench.chainOfBlocks.extend();
  await bench.fundHot(5n * oneEther);
  await bench.fundedAccount(oneEther);
  for (const chore of [...ledgerChores, ...ledgerChores]) await keepLedger(bench.deps, chore);
  expect(await checkBooks(bench.deps)).toEqual({ problems: 0 });
  expect(await verifyJournal(bench.deps)).toEqual({ problems: 0 });
  expect(await exportLedgerHead(bench.deps)).toBe('not-configured');
  expect(await exportLedgerHead({ ...bench.deps, exportHead: exportedWith([recorded]) })).toBe('exported');
  expect([await halts(bench), await cases(bench)]).toEqual([[], []]);
});

describe('what is not true', () => {
  it.each<[string, (bench: TestBench) => Promise<unknown>]>([
    [
      'debits and credits that differ',
      async ({ deps }) => {
        const problem = { check: 'zero-sum', place: 'ether', problem: 'debits and credits differ' } as const;
        return await checkBooks(
          withLedger(deps, { verifyTotals: () => Promise.resolve({ ok: false, problems: [problem] }) }),
        );
      },
    ],
    [
      'a journal that does not prove the balances',
      async ({ deps }) => {
        const problem = { check: 'balance', place: 'x', problem: 'stored and replayed differ' } as const;
        const verify: Verify = (_db, range) =>
          Promise.resolve({ ok: range !== undefined, problems: range === undefined ? [problem] : [] });
        const spoiled = withLedger(deps, { verify });
        expect(await checkBooks(spoiled)).toEqual({ problems: 0 });
        return await verifyJournal(spoiled);
      },
    ],
    [
      'batches that a witness has the signed head of, and that are gone',
      async ({ deps }) => {
        const problem = { check: 'exported-head', place: 'batch 7', problem: 'is missing' } as const;
        const verifyHeads = () => Promise.resolve({ problems: [problem], unprovenBatches: 0n, unread: [] });
        return await checkLedgerHeads({ ...deps, verifyHeads });
      },
    ],
    [
      'older heads of another ledger than the one there is, at the deep look',
      async ({ deps }) => {
        const problem = { check: 'exported-head', place: 'batch 2', problem: 'was changed' } as const;
        const verifyHeads = (which: 'newest' | 'all') =>
          Promise.resolve({ problems: which === 'all' ? [problem] : [], unprovenBatches: 0n, unread: [] });
        expect(await checkLedgerHeads({ ...deps, verifyHeads })).toEqual({ problems: 0 });
        expect(await verifyJournal({ ...deps, verifyHeads })).toEqual({ problems: 1 });
      },
    ],
    [
      'a ledger that is not the one whose head was signed',
      async ({ deps }) => {
        const forked = new StrongroomError('LEDGER_FORKED', 'another batch 7', {
          kind: 'invariant',
          details: { problems: ['batch 7 was changed'] },
        });
        return await exportLedgerHead({ ...deps, exportHead: () => Promise.reject(forked) });
      },
    ],
  ])('%s: one case and a halt of everything', async (_name, look) => {
    const bench = await openBench();
    await bench.chainOfBlocks.extend();
    await bench.fundHot(5n * oneEther);
    await look(bench);
    await look(bench);
    expect(await halts(bench)).toEqual(['ledger']);
    expect(await cases(bench)).toEqual(['ledger-invariant']);
    const { walletId, deps } = bench;
    const batchId = `bat_${caseId('any').slice(5)}` as const;
    expect(await claimBatch(deps, { batchId, walletId })).toMatchObject({ batchId: null });
    expect(await planSweeps(deps, { walletId })).toEqual([]);
  });

  it('people who lift the halt knowing of it are not overruled; something new halts again, open or closed', async () => {
    const bench = await openBench();
    const { deps } = bench;
    let problems = [{ check: 'zero-sum', place: 'ether', problem: 'debits and credits differ' }] as const;
    const look = () =>
      checkBooks(withLedger(deps, { verifyTotals: () => Promise.resolve({ ok: false, problems }) }));
    await look();
    await lift(bench);
    await look();
    expect(await halts(bench)).toEqual([]);
    problems = [...problems, { ...problems[0], place: 'gold' }] as never;
    await look();
    await look();
    expect(await halts(bench)).toEqual(['ledger']);
    const [open] = await openCases(deps.pool);
    const record = await readCase(deps.pool, open?.id ?? '');
    expect(record?.history.map(({ event, note }) => [event, note])).toEqual([
      ['opened', ''],
      ['noted', 'zero-sum gold: debits and credits differ'],
    ]);
    await lift(bench);
    await inTransaction(deps.pool, async (tx) => {
      await closeCase(tx, open?.id ?? '', { resolution: 'a row of 2025 that nobody can mend', by: 'ana' });
    });
    await look();
    expect([await halts(bench), await cases(bench)]).toEqual([[], []]);
    problems = [...problems, { ...problems[0], place: 'silver' }] as never;
    await look();
    expect([await halts(bench), await cases(bench)]).toEqual([['ledger'], ['ledger-invariant']]);
  });
});

describe('each look proves the batches since the one before', () => {
  it('in portions, and goes on where it was', async () => {
    const bench = await openBench();
    await bench.chainOfBlocks.extend();
    await bench.fundHot(5n * oneEther);
    const ranges: string[] = [];
    const verify: Verify = (db, range) => {
      ranges.push(range === undefined ? 'all' : `${range.from}-${range.to}`);
      return bench.deps.ledger.verify(db, range);
    };
    const deps = withLedger(bench.deps, { verify });
    await checkBooks(deps);
    await checkBooks(deps);
    const first = await newestBatch(bench);
    expect(ranges).toEqual([`1-${first}`]);
    await bench.fundHot(oneEther);
    await checkBooks(deps);
    expect(ranges.slice(1)).toEqual([`${BigInt(first) + 1n}-${await newestBatch(bench)}`]);
    expect(await verifiedUpTo(bench)).toBe(await newestBatch(bench));
  });

  it('and names a changed row, once, and that the newest are gone', async () => {
    const bench = await openBench();
    await bench.chainOfBlocks.extend();
    await bench.fundHot(5n * oneEther);
    const { pool } = bench.deps;
    await pool.query('GRANT UPDATE ON ledger.transfer TO CURRENT_USER');
    await pool.query('ALTER TABLE ledger.transfer DISABLE TRIGGER ALL');
    await pool.query("UPDATE ledger.transfer SET reference = 'other' WHERE seq = 1");
    expect(await checkBooks(bench.deps)).toEqual({ problems: 1 });
    expect(await halts(bench)).toEqual(['ledger']);
    expect(await checkBooks(bench.deps)).toEqual({ problems: 0 });
    await pool.query(
      "UPDATE operations.progress SET position = '9000' WHERE scope = 'ledger/verified-batches'",
    );
    expect(await checkBooks(bench.deps)).toEqual({ problems: 1 });
    const [open] = await openCases(pool);
    const notes = (await readCase(pool, open?.id ?? ''))?.history.map(({ note }) => note);
    expect(notes?.at(-1)).toContain('batches after it are missing: batch 9000 was there');
    // Told once; what is booked from then on is proven again.
    expect(await checkBooks(bench.deps)).toEqual({ problems: 0 });
    await bench.fundHot(oneEther);
    await checkBooks(bench.deps);
    expect(await verifiedUpTo(bench)).toBe(await newestBatch(bench));
  });
});

describe('a look that is overtaken', () => {
  it('by another one that has proven newer batches finds nothing missing', async () => {
    const bench = await openBench();
    await bench.chainOfBlocks.extend();
    await bench.fundHot(5n * oneEther);
    await checkBooks(bench.deps);
    let overtakes = 1;
    const ask = bench.deps.pool.query.bind(bench.deps.pool) as (...asked: unknown[]) => Promise<unknown>;
    const query = async (...asked: unknown[]) => {
      const answer = await ask(...asked);
      if (overtakes-- > 0) {
        await bench.fundHot(oneEther);
        await checkBooks(bench.deps);
      }
      return answer;
    };
    const pool = new Proxy(bench.deps.pool, {
      get: (target, name): unknown => (name === 'query' ? query : Reflect.get(target, name, target)),
    });
    expect(await checkBooks({ ...bench.deps, pool })).toEqual({ problems: 0 });
    expect(await halts(bench)).toEqual([]);
  });
});

describe('heads', () => {
  it('an error that says nothing of the books is no problem of the books', async () => {
    const bench = await openBench();
    const away = new StrongroomError('CUSTODY_SIGNER_UNREACHABLE', 'away', { kind: 'unavailable' });
    await expect(exportLedgerHead({ ...bench.deps, exportHead: () => Promise.reject(away) })).rejects.toBe(
      away,
    );
    expect(await halts(bench)).toEqual([]);
  });

  it('that a co-signer does not keep, or cannot be asked for, are told of', async () => {
    const bench = await openBench();
    const refused = { party: 2, state: 'refused', code: 'CUSTODY_LEDGER_HEAD_REFUSED', reason: 'not pinned' };
    await expect(
      exportLedgerHead({ ...bench.deps, exportHead: exportedWith([recorded, refused]) }),
    ).rejects.toMatchObject({
      code: 'LEDGER_HEADS_UNKEPT',
      message: expect.stringContaining('co-signer 2 (CUSTODY_LEDGER_HEAD_REFUSED): not pinned') as string,
    });
    const verifyHeads = () =>
      Promise.resolve({ problems: [], unprovenBatches: 0n, unread: ['co-signer 3: away'] });
    await expect(checkLedgerHeads({ ...bench.deps, verifyHeads })).rejects.toMatchObject({
      code: 'LEDGER_HEADS_UNKEPT',
    });
  });

  it('that a witness shows without the signature of the ledger are a case and stop nothing', async () => {
    const bench = await openBench();
    const problem = { check: 'exported-head', place: 'co-signer 2', problem: 'no evidence' } as const;
    const verifyHeads = () =>
      Promise.resolve({ problems: [problem], unbelieved: [problem], unprovenBatches: 0n, unread: [] });
    await checkLedgerHeads({ ...bench.deps, verifyHeads });
    expect([await halts(bench), await cases(bench)]).toEqual([[], ['ledger-head-unbelieved']]);
  });
});

describe('chores', () => {
  it('make partitions, and end every hold that is due', async () => {
    const bench = await openBench();
    let calls = 0;
    const expiring = (left: (call: number) => number) =>
      keepLedger(withLedger(bench.deps, { expireDue: () => Promise.resolve(left(calls++)) }), 'expire-holds');
    await expiring((call) => [1_000, 1_000, 3][call] ?? 0);
    expect(calls).toBe(4);
    calls = 0;
    await expiring(() => 1);
    expect(calls).toBe(20);
    await keepLedger(bench.deps, 'add-partitions');
    const { rows } = await bench.deps.pool.query<{ n: number }>(
      'SELECT count(*)::int AS n FROM ledger.transfer_partition',
    );
    expect(rows).toEqual([{ n: 4 }]);
  });

  it('that go on failing are a case, which is told when they work again', async () => {
    const { deps } = await openBench();
    const attempt = (number: number, work: () => Promise<void>) =>
      tellingFailures(deps, { chore: 'check-books', number }, work);
    const fails = () => Promise.reject(new TypeError('a bug'));
    for (let number = 1; number < choreTriesMax; number++)
      await expect(attempt(number, fails)).rejects.toThrow('a bug');
    expect(await openCases(deps.pool)).toEqual([]);
    for (const number of [choreTriesMax, choreTriesMax + 1])
      await expect(attempt(number, fails)).rejects.toThrow('a bug');
    const [open, ...more] = await openCases(deps.pool);
    expect(more).toEqual([]);
    expect(open).toMatchObject({
      kind: 'ledger-chore-failing',
      subject: 'check-books',
      details: { tries: choreTriesMax, error: 'a bug' },
    });
    await attempt(choreTriesMax + 2, () => Promise.resolve());
    const record = await readCase(deps.pool, open?.id ?? '');
    expect(record?.history.at(-1)).toMatchObject({ event: 'noted', note: 'works again, at try 10' });
  });

  it('reconciliation among them: a bug in it is tried again for ever, and a case', async () => {
    const { deps } = await openBench();
    const adapter = () => {
      throw new TypeError('a bug');
    };
    const { reconcile } = createChainActivities({ ...deps, chains: { ...deps.chains, adapter } });
    const attempt = async (number: number) => await asTry(number, () => reconcile({ chain }));
    for (let number = 1; number < choreTriesMax; number++)
      await expect(attempt(number)).rejects.toThrow('a bug');
    expect(await openCases(deps.pool)).toEqual([]);
    // Nothing that Temporal would take for a reason to give up.
    await expect(attempt(choreTriesMax)).rejects.not.toMatchObject({ nonRetryable: true });
    expect(await openCases(deps.pool)).toMatchObject([
      { kind: 'ledger-chore-failing', subject: `reconcile/${chain}`, details: { error: 'a bug' } },
    ]);
  });

  it('one of which fails leaves the others be: each is a run of its own', async () => {
    const { deps } = await openBench();
    const away = new StrongroomError('CUSTODY_SIGNER_UNREACHABLE', 'away', { kind: 'unavailable' });
    const { keepLedger: keep } = createLedgerActivities({ ...deps, exportHead: () => Promise.reject(away) });
    const failed: string[] = [];
    for (const chore of ledgerChores) await asTry(1, () => keep({ chore })).catch(() => failed.push(chore));
    expect(failed).toEqual(['export-head']);
    const ids = ledgerChores.map((chore) => workflowIds.ledgerKeeper(chore));
    expect(new Set(ids).size).toBe(ledgerChores.length);
  });

  it('whose tries are killed are a case as well, before the next try begins', async () => {
    const { deps } = await openBench();
    await tellingFailures(deps, { chore: 'verify-journal', number: choreTriesMax + 1 }, async () => {
      expect((await openCases(deps.pool)).map(({ subject }) => subject)).toEqual(['verify-journal']);
    });
  });

  it('that fail while the database is away fail with their own error', async () => {
    const { deps } = await openBench();
    const pool = { ...deps.pool, connect: () => Promise.reject(new Error('away')) } as never;
    await expect(
      tellingFailures({ ...deps, pool }, { chore: 'check-books', number: 99 }, () =>
        Promise.reject(new TypeError('a bug')),
      ),
    ).rejects.toThrow('a bug');
  });
});
