/**
 * The workflows on a real Temporal server over a real database and node; one key of the test stands behind custody. Nothing
 * is cached, so that every workflow task replays its history: what is not deterministic fails here.
 */
import { Client, Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Id } from '#core/ids';
import { openCases } from '#infra/cases';
import { createLogger } from '#infra/log';
import { ledgerChores, type WithdrawalState, workflowIds } from '#workflows/contract';
import { type RelayTargets, startRelay, startStandingWorkflows } from '../../workflows/relay.ts';
import { createWorkers } from '../../workflows/start-worker.ts';
import { startAnvil } from '../support/anvil.ts';
import { rpc } from '../support/evm-proxy.ts';
import { temporalForThisFile } from '../support/temporal.ts';
import { chain, dollars, ether, oneEther, openBench, otherOutside, type TestBench } from './fixture.ts';

const rich = '0xf39Fd6e51aad88F6F4ce6aB8827279cfFFb92266';
const patienceMs = 60_000;
let bench: TestBench;
let nodeUrl: string;
let client: Client;
let targets: RelayTargets;

const mine = async (): Promise<void> => {
  await rpc(nodeUrl, 'evm_mine');
};
async function until<T>(what: string, probe: () => Promise<T | undefined>): Promise<T> {
  const end = Date.now() + patienceMs;
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await mine();
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
}
const reaches = async (id: string, state: WithdrawalState): Promise<void> => {
  await until(`${id} to be ${state}`, async () => {
    const view = await bench.operations.withdrawal(id);
    return view.state === state ? view : undefined;
  });
};
async function customer(units: bigint): Promise<Id<'acc'>> {
  const accountId = await bench.newAccount();
  const { address } = await bench.operations.depositAddress({ accountId, asset: ether });
  await rpc(nodeUrl, 'eth_sendTransaction', [{ from: rich, to: address, value: `0x${units.toString(16)}` }]);
  await until('the deposit', async () => {
    const [balance] = await bench.operations.balances(accountId);
    return balance?.available === units.toString() ? true : undefined;
  });
  return accountId;
}

beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  const anvil = await startAnvil({ noMining: true });
  nodeUrl = anvil.url;
  await mine();
  bench = await openBench({ nodeUrl });
  const { address, namespace } = await temporalForThisFile();
  const native = await NativeConnection.connect({ address });
  const connection = await Connection.connect({ address });
  client = new Client({ connection, namespace });
  const workers = await createWorkers(bench.deps, { connection: native, namespace, maxCachedWorkflows: 0 });
  const runs = workers.map((worker) => worker.run());
  const intervals = {
    chainPollMs: 150,
    withdrawalPollMs: 500,
    batcherPollMs: 1000,
    sweeperPollMs: 1000,
    paymentPollMs: 200,
    stuckAfterMs: 60_000,
    outboxPollMs: 100,
    ledgerPollMs: 500,
    reconcileEveryMs: 1000,
    verifyEveryMs: 2000,
    exportHeadEveryMs: 60_000,
    verifyHeadsEveryMs: 60_000,
  };
  targets = { client, intervals, wallets: bench.deps.wallets };
  const relay = startRelay(bench.deps.pool, targets, createLogger('test', { level: 'silent' }));
  await startStandingWorkflows(targets);
  await startStandingWorkflows(targets);
  afterAll(async () => {
    await relay.stop();
    for (const worker of workers) worker.shutdown();
    await Promise.allSettled(runs);
    await connection.close();
    await native.close();
  });
  await rpc(nodeUrl, 'eth_sendTransaction', [
    { from: rich, to: bench.hot, value: `0x${(20n * oneEther).toString(16)}` },
  ]);
}, 90_000);

describe('the processes', () => {
  it('keep the ledger and reconcile it beside everything else', async () => {
    await until('runs that were judged', async () => {
      const { rows } = await bench.deps.pool.query<{ not_judged: string | null }>(
        'SELECT not_judged FROM operations.reconciliation_run WHERE not_judged IS NULL LIMIT 2',
      );
      return rows.length === 2 ? true : undefined;
    });
    const keepers = [
      ...ledgerChores.map((chore) => workflowIds.ledgerKeeper(chore)),
      workflowIds.ledgerKeeper('reconcile', chain),
    ];
    for (const id of keepers)
      expect(await client.workflow.getHandle(id).describe(), id).toMatchObject({
        status: { name: 'RUNNING' },
      });
    await until('every batch to be looked at', async () => {
      const { rows } = await bench.deps.pool.query<{ found: 1 }>(
        `SELECT 1 AS found FROM operations.progress JOIN ledger.head ON batch_no = position::bigint
          WHERE scope = 'ledger/verified-batches'`,
      );
      return rows[0];
    });
  });

  it('keep the ledger at another pace when they are told so, and go on else', async () => {
    const runOf = async (id: string) => (await client.workflow.getHandle(id).describe()).runId;
    const ids = [workflowIds.ledgerKeeper('verify-heads'), workflowIds.ledgerKeeper('reconcile', chain)];
    const [paced = '', unchanged] = await Promise.all(ids.map(runOf));
    const intervals = { ...targets.intervals, verifyHeadsEveryMs: 50_000 };
    await startStandingWorkflows({ ...targets, intervals });
    expect(await runOf(ids[1] ?? '')).toBe(unchanged);
    expect(await runOf(ids[0] ?? '')).not.toBe(paced);
    expect(await client.workflow.getHandle(ids[0] ?? '', paced).describe()).toMatchObject({
      status: { name: 'TERMINATED' },
    });
  });

  it('carry a deposit to the hot address and ten withdrawals at once to their end, each paid once', async () => {
    const accountId = await customer(2n * oneEther);
    const before = BigInt(String(await rpc(nodeUrl, 'eth_getBalance', [otherOutside, 'latest'])));
    const units = oneEther / 20n;
    const ids = Array.from({ length: 10 }, () => bench.newWithdrawalId());
    await Promise.all(
      ids.map((id) =>
        bench.operations.requestWithdrawal({
          id,
          accountId,
          asset: ether,
          address: otherOutside,
          units: units.toString(),
        }),
      ),
    );
    for (const id of ids) await reaches(id, 'FINAL');
    const after = BigInt(String(await rpc(nodeUrl, 'eth_getBalance', [otherOutside, 'latest'])));
    expect(after - before).toBe(10n * units);
    await until('the sweep', async () =>
      (await bench.operations.sweeps(bench.walletId)).find((each) => each.state === 'FINAL'),
    );
    await until('the last batch to close', async () => {
      const open = await bench.deps.pool.query("SELECT 1 FROM operations.batch WHERE state = 'OPEN'");
      return open.rowCount === 0 ? true : undefined;
    });
    expect(await bench.countRows('operations.certificate')).toBe(10);
    await bench.ledgerIsSound();
    const [books, ofDollars] = await bench.operations.booksAtCursor();
    const nothing = { customers: '0', house: '0', suspense: '0' };
    expect(ofDollars).toEqual({ asset: dollars, chain: null, height: null, ...nothing });
    const sum =
      BigInt(books?.customers ?? '0') + BigInt(books?.house ?? '0') + BigInt(books?.suspense ?? '0');
    const { rows } = await bench.deps.pool.query<{ address: string }>(
      'SELECT address FROM operations.deposit UNION SELECT $1',
      [bench.hot],
    );
    let onChain = 0n;
    for (const { address } of rows)
      onChain += await bench.deps.chains.adapter(chain).balanceAt(address, books?.height ?? 0);
    expect(onChain).toBe(sum);
  }, 120_000);

  it('found no break in all of it', async () => {
    const runs = await until('a run over all payments', async () => {
      const { rows } = await bench.deps.pool.query<{ breaks: readonly string[]; payments: number }>(
        `SELECT report -> 'breaks' AS breaks, (report -> 'payments')::int AS payments
           FROM operations.reconciliation_run WHERE not_judged IS NULL ORDER BY id`,
      );
      // Ten withdrawals and a sweep.
      return (rows.at(-1)?.payments ?? 0) >= 11 ? rows : undefined;
    });
    expect(runs.flatMap((row) => row.breaks)).toEqual([]);
    expect(await openCases(bench.deps.pool)).toEqual([]);
  });

  it('let a withdrawal that nobody approves expire, and end its workflow', async () => {
    const accountId = await customer(3n * oneEther);
    const id = bench.newWithdrawalId();
    const shortLived = { ...bench.deps, intentLifetimeMs: 2500 };
    const { requestWithdrawal } = await import('../../workflows/operations/request.ts');
    await requestWithdrawal(shortLived, {
      id,
      accountId,
      asset: ether,
      address: otherOutside,
      units: (2n * oneEther).toString(),
    });
    await reaches(id, 'PENDING_APPROVAL');
    await reaches(id, 'EXPIRED');
    await client.workflow.getHandle(workflowIds.withdrawal(id)).result();
    expect((await bench.operations.balances(accountId))[0]?.held).toBe('0');
  }, 60_000);
});
