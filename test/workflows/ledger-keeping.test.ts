/** Books that are no longer true stop every payment; books that are true stop nothing. */
import { expect, it } from 'vitest';
import { StrongroomError } from '#core/errors';
import { liftHalt, listHalts, openCases } from '#infra/cases';
import { inTransaction } from '#infra/db';
import { claimBatch } from '../../workflows/operations/batches.ts';
import type { OperationsDeps } from '../../workflows/operations/context.ts';
import { checkBooks, exportLedgerHead, keepLedger } from '../../workflows/operations/ledger-keeping.ts';
import { planSweeps } from '../../workflows/operations/sweeps.ts';
import { caseId, oneEther, openBench, type TestBench } from './fixture.ts';

const halts = async (bench: TestBench) => (await listHalts(bench.deps.pool)).map(({ scope }) => scope);
const cases = async (bench: TestBench) => (await openCases(bench.deps.pool)).map(({ kind }) => kind);

it('true books stop nothing, however deep the look', async () => {
  const bench = await openBench();
  await bench.chainOfBlocks.extend();
  await bench.fundHot(5n * oneEther);
  await bench.fundedAccount(oneEther);
  await keepLedger(bench.deps);
  for (const isDeep of [false, true])
    expect(await checkBooks(bench.deps, { isDeep })).toEqual({ problems: 0 });
  expect(await exportLedgerHead(bench.deps)).toEqual({ state: 'not-configured' });
  expect(await exportLedgerHead({ ...bench.deps, exportHead: () => Promise.resolve() })).toEqual({
    state: 'exported',
  });
  expect([await halts(bench), await cases(bench)]).toEqual([[], []]);
});

it.each<[string, (bench: TestBench) => Promise<unknown>]>([
  [
    'debits and credits that differ, at any look',
    async ({ deps }) => {
      const problem = { check: 'zero-sum', place: 'ether', problem: 'debits and credits differ' } as const;
      const ledger = {
        ...deps.ledger,
        verifyTotals: () => Promise.resolve({ ok: false, problems: [problem] }),
      };
      return await checkBooks({ ...deps, ledger }, { isDeep: false });
    },
  ],
  [
    'a journal that does not prove the balances',
    async ({ deps }) => {
      const problem = {
        check: 'balance',
        place: 'customer',
        problem: 'stored and replayed balances differ',
      } as const;
      const verify: OperationsDeps['ledger']['verify'] = (_db, range) =>
        Promise.resolve({ ok: range !== undefined, problems: range === undefined ? [problem] : [] });
      const ledger = { ...deps.ledger, verify };
      expect(await checkBooks({ ...deps, ledger }, { isDeep: false })).toEqual({ problems: 0 });
      return await checkBooks({ ...deps, ledger }, { isDeep: true });
    },
  ],
  [
    'a newest batch that is not what its hash says',
    async ({ deps }) => {
      const problem = { check: 'batch', place: 'batch 1', problem: 'transfers are missing' } as const;
      const verify: OperationsDeps['ledger']['verify'] = (_db, range) =>
        Promise.resolve({ ok: range === undefined, problems: range === undefined ? [] : [problem] });
      return await checkBooks({ ...deps, ledger: { ...deps.ledger, verify } }, { isDeep: false });
    },
  ],
  [
    'batches that a witness has the signed head of, and that are gone',
    async ({ deps }) => {
      const problem = { check: 'exported-head', place: 'batch 7', problem: 'is missing' } as const;
      const verifyHeads = () => Promise.resolve({ problems: [problem], unprovenBatches: 0n, unread: [] });
      return await checkBooks({ ...deps, verifyHeads }, { isDeep: true });
    },
  ],
  [
    'a ledger that is not the one whose head was signed',
    async ({ deps }) => {
      const forked = new StrongroomError('LEDGER_FORKED', 'another batch 7', { kind: 'invariant' });
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
  await inTransaction(deps.pool, async (tx) => {
    await liftHalt(tx, { scope: 'ledger', reason: 'looked at', people: ['ana', 'ben'] });
  });
  expect(await halts(bench)).toEqual([]);
});

it('an error that says nothing of the books is no problem of the books', async () => {
  const bench = await openBench();
  const away = new StrongroomError('CUSTODY_SIGNER_UNREACHABLE', 'away', { kind: 'unavailable' });
  await expect(exportLedgerHead({ ...bench.deps, exportHead: () => Promise.reject(away) })).rejects.toBe(
    away,
  );
  expect(await halts(bench)).toEqual([]);
});

it('what a witness shows without the ledger having signed it is a case and stops nothing', async () => {
  const bench = await openBench();
  const problem = {
    check: 'exported-head',
    place: 'co-signer 2',
    problem: 'shows a head that is no evidence',
  } as const;
  const verifyHeads = () =>
    Promise.resolve({ problems: [problem], unprovenBatches: 0n, unread: ['co-signer 1: away'] });
  expect(await checkBooks({ ...bench.deps, verifyHeads }, { isDeep: true })).toEqual({ problems: 0 });
  expect([await halts(bench), await cases(bench)]).toEqual([[], ['ledger-witness']]);
});

it('keeping makes partitions and ends every hold that is due', async () => {
  const bench = await openBench();
  const left = [1_000, 1_000, 3];
  let calls = 0;
  const expireDue = () => Promise.resolve(left[calls++] ?? 0);
  await keepLedger({ ...bench.deps, ledger: { ...bench.deps.ledger, expireDue } });
  expect(calls).toBe(4);
  calls = 0;
  await keepLedger({
    ...bench.deps,
    ledger: { ...bench.deps.ledger, expireDue: () => Promise.resolve(Math.sign(++calls)) },
  });
  expect(calls).toBe(20);
  const { rows } = await bench.deps.pool.query<{ n: number }>(
    'SELECT count(*)::int AS n FROM ledger.transfer_partition',
  );
  expect(rows).toEqual([{ n: 4 }]);
});
