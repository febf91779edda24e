/** Reconciliation on a real node and database: nothing that is lawful is a break, and each thing that is wrong is named. */
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { attemptsOf, createChains } from '#chains';
import { newId } from '#core/ids';
import { amount } from '#core/money';
import { closeCase, liftHalt, listHalts, openCases, readCase } from '#infra/cases';
import { inTransaction } from '#infra/db';
import { chainCold, chainHot, rebalancePaid, rebalanceStart, type TierMirror } from '#ledger/contract';
import { closeBatch } from '../../workflows/operations/batches.ts';
import { sendPayment, signPayment } from '../../workflows/operations/payments.ts';
import { type ReconciliationReport, reconcile } from '../../workflows/operations/reconciliation/index.ts';
import { planSweeps } from '../../workflows/operations/sweeps.ts';
import { rpc } from '../support/evm-proxy.ts';
import { type AnvilBench, openAnvilBench } from './anvil-bench.ts';
import { chain, ether, oneEther, outside } from './fixture.ts';

let bench: AnvilBench;

const run = async (deps = bench.deps) => await reconcile(deps, chain);
async function lastReport(): Promise<ReconciliationReport & { height: string }> {
  const { rows } = await bench.deps.pool.query<{ report: ReconciliationReport; height: string }>(
    'SELECT report, height FROM operations.reconciliation_run ORDER BY id DESC LIMIT 1',
  );
  const [row] = rows;
  if (row === undefined) throw new Error('there was no run');
  return { ...row.report, height: row.height };
}
const lineOf = async (check: string) => (await lastReport()).lines.find((line) => line.check === check);
async function expectBalanced(): Promise<void> {
  const found = await run();
  expect((await lastReport()).breaks).toEqual([]);
  expect(found).toMatchObject({ notJudged: null, breaks: 0, casesOpened: 0 });
}
const cases = async () => (await openCases(bench.deps.pool)).map(({ kind, subject }) => [kind, subject]);
const halts = async () => (await listHalts(bench.deps.pool)).map(({ scope }) => scope);
/** As two people do; the cases are closed with it. */
async function recover(): Promise<void> {
  await inTransaction(bench.deps.pool, async (tx) => {
    for (const { id } of await openCases(tx)) await closeCase(tx, id, { resolution: 'test', by: 'test' });
    for (const { scope } of await listHalts(tx))
      await liftHalt(tx, { scope, reason: 'test', people: ['ana', 'ben'] });
  });
}

describe('what is lawful', () => {
  beforeAll(async () => {
    bench = await openAnvilBench();
  }, 60_000);

  it('has no break at any moment of deposits, sweeps and withdrawals', async () => {
    await expectBalanced();
    const accountId = await bench.newAccount();
    const { address } = await bench.operations.depositAddress({ accountId, asset: `${chain}/slip44:60` });
    await bench.pay(bench.hot, 10n * oneEther);
    await bench.pay(address, 2n * oneEther);
    // On chain, unknown to us; final on chain, unknown to us; seen; final.
    await expectBalanced();
    await bench.mine(3);
    await expectBalanced();
    expect(await lineOf('hot')).toMatchObject({
      booked: '0',
      unposted: (10n * oneEther).toString(),
      difference: '0',
    });
    await bench.follow();
    await expectBalanced();
    await bench.settle();
    await expectBalanced();
    expect(await lineOf('hot')).toMatchObject({ booked: (10n * oneEther).toString(), unposted: '0' });
    expect(await lineOf('deposit')).toMatchObject({ booked: (2n * oneEther).toString(), difference: '0' });

    const ids = [await bench.queued(accountId, oneEther / 10n), await bench.queued(accountId, oneEther / 5n)];
    const { batchId } = await bench.claim();
    await expectBalanced();
    for (const id of ids) await bench.signAndSend(id);
    const [sweepId = ''] = await planSweeps(bench.deps, { walletId: bench.walletId });
    await bench.signAndSend(sweepId);
    await expectBalanced();
    await bench.mine();
    await expectBalanced();
    await bench.follow();
    await expectBalanced();
    await bench.mine(3);
    await expectBalanced();
    expect(BigInt((await lineOf('hot'))?.unposted ?? '0')).not.toBe(0n);
    await bench.follow();
    await expectBalanced();
    expect(await closeBatch(bench.deps, batchId ?? '')).toBe(true);
    expect((await lastReport()).payments).toBe(3);
    expect(await cases()).toEqual([]);
  }, 60_000);

  it('is not judged against a node that is away, behind, or on another chain; ten times is a case', async () => {
    const adapter = bench.deps.chains.adapter(chain);
    const asked = (over: Partial<typeof adapter>) => ({
      ...bench.deps,
      chains: { ...bench.deps.chains, adapter: () => ({ ...adapter, ...over }) },
    });
    expect((await run(asked({ finalizedHeight: () => Promise.resolve(0) }))).notJudged).toContain(
      'the books are at',
    );
    const other = asked({
      blockRefAt: async (height) => ({ ...(await adapter.head()), height, hash: '0xother' }),
    });
    expect((await run(other)).notJudged).toContain('another chain');
    expect(await cases()).toEqual([]);
    const chains = createChains({
      configs: [
        {
          name: 'ethereum',
          chain,
          url: 'http://127.0.0.1:9',
          startHeight: 0,
          finality: { kind: 'tag' },
          timeoutMs: 200,
        },
      ],
    });
    for (let at = 2; at < 10; at += 1)
      expect(await run({ ...bench.deps, chains })).toMatchObject({
        breaks: 0,
        casesOpened: at === 9 ? 1 : 0,
      });
    chains.close();
    expect(await cases()).toEqual([['reconciliation-not-judged', chain]]);
    expect(await halts()).toEqual([]);
    await recover();
  });
});

describe('what is wrong', () => {
  beforeAll(async () => {
    bench = await openAnvilBench();
    await bench.pay(bench.hot, 10n * oneEther);
    await bench.settle();
    await expectBalanced();
  }, 60_000);
  beforeEach(async () => {
    await recover();
  });

  it('value that came unseen is a case in the second run, stops nothing, and is noted when it is gone', async () => {
    const { address } = await bench.customer(oneEther);
    const at = (await bench.deps.chains.adapter(chain).head()).height;
    expect(at).toBeGreaterThan(0);
    const before = await rpc(bench.nodeUrl, 'eth_getBalance', [address, 'latest']);
    await rpc(bench.nodeUrl, 'anvil_setBalance', [address, `0x${(oneEther + 7n).toString(16)}`]);
    await bench.settle();
    expect(await run()).toMatchObject({ breaks: 2, casesOpened: 0 });
    expect(await run()).toMatchObject({ breaks: 2, casesOpened: 2 });
    expect(await run()).toMatchObject({ breaks: 2, casesOpened: 0 });
    expect(await cases()).toEqual(
      expect.arrayContaining([
        ['reconciliation-address', address],
        ['reconciliation-deposit', `chain:deposit:${bench.walletId}`],
      ]),
    );
    expect(await halts()).toEqual([]);
    const id = (await openCases(bench.deps.pool)).find(({ subject }) => subject === address)?.id ?? '';
    expect((await readCase(bench.deps.pool, id))?.details).toMatchObject({
      difference: '7',
      payments: 'go on',
    });

    await rpc(bench.nodeUrl, 'anvil_setBalance', [address, String(before)]);
    await bench.settle();
    await expectBalanced();
    const record = await readCase(bench.deps.pool, id);
    expect(record?.closed).toBeNull();
    expect(record?.history.at(-1)).toMatchObject({ event: 'noted', actor: 'system' });
    expect(record?.history.at(-1)?.note).toContain('no longer finds it');
  });

  it('value that is missing stops the payments of the wallet until two people lift it', async () => {
    const { accountId } = await bench.customer(oneEther);
    const id = await bench.queued(accountId, oneEther / 10n);
    const { batchId } = await bench.claim();
    const before = String(await rpc(bench.nodeUrl, 'eth_getBalance', [bench.hot, 'latest']));
    await rpc(bench.nodeUrl, 'anvil_setBalance', [bench.hot, `0x${(BigInt(before) - 1n).toString(16)}`]);
    await bench.settle();
    await run();
    expect(await halts()).toEqual([]);
    expect(await run()).toMatchObject({ casesOpened: 1 });
    expect(await halts()).toEqual([`wallet:${bench.walletId}`]);
    expect(await cases()).toEqual([['reconciliation-hot', bench.hot]]);
    for (const step of [
      signPayment(bench.deps, { paymentId: id, number: 0 }),
      sendPayment(bench.deps, { paymentId: id }),
    ])
      await expect(step).rejects.toMatchObject({ code: 'CHAINS_HALTED' });
    // Closed knowing of it: the same difference is no news, another one is.
    await recover();
    expect(await run()).toMatchObject({ breaks: 1, casesOpened: 0 });
    expect(await halts()).toEqual([]);
    await rpc(bench.nodeUrl, 'anvil_setBalance', [bench.hot, `0x${(BigInt(before) - 2n).toString(16)}`]);
    await bench.settle();
    expect(await run()).toMatchObject({ breaks: 1, casesOpened: 1 });
    expect(await halts()).toEqual([`wallet:${bench.walletId}`]);
    await rpc(bench.nodeUrl, 'anvil_setBalance', [bench.hot, before]);
    await bench.settle();
    await expectBalanced();
    await recover();
    await bench.signAndSend(id);
    await bench.settle();
    expect(await closeBatch(bench.deps, batchId ?? '')).toBe(true);
    await expectBalanced();
  });

  it('a loss within the bound is a case and stops nothing', async () => {
    const before = String(await rpc(bench.nodeUrl, 'eth_getBalance', [bench.hot, 'latest']));
    await rpc(bench.nodeUrl, 'anvil_setBalance', [bench.hot, `0x${(BigInt(before) - 5n).toString(16)}`]);
    await bench.settle();
    const bounded = {
      ...bench.deps,
      chainSettings: bench.deps.chainSettings.map((each) => ({ ...each, breakBoundUnits: 5n })),
    };
    await run(bounded);
    expect(await run(bounded)).toMatchObject({ casesOpened: 1 });
    expect(await halts()).toEqual([]);
    await rpc(bench.nodeUrl, 'anvil_setBalance', [bench.hot, before]);
    await bench.settle();
    await expectBalanced();
  });

  it('a loss that grows above the bound stops payments although its case is open, and again when it grows', async () => {
    const before = String(await rpc(bench.nodeUrl, 'eth_getBalance', [bench.hot, 'latest']));
    const missing = async (units: bigint) => {
      await rpc(bench.nodeUrl, 'anvil_setBalance', [bench.hot, `0x${(BigInt(before) - units).toString(16)}`]);
      await bench.settle();
    };
    const bounded = {
      ...bench.deps,
      chainSettings: bench.deps.chainSettings.map((each) => ({ ...each, breakBoundUnits: 5n })),
    };
    const halted = async () => {
      expect(await run(bounded)).toMatchObject({ breaks: 1 });
      return await halts();
    };
    await missing(5n);
    await run(bounded);
    expect(await run(bounded)).toMatchObject({ casesOpened: 1 });
    await missing(6n);
    // One look at a larger loss proves nothing, as for the first one.
    expect(await halted()).toEqual([]);
    expect(await halted()).toEqual([`wallet:${bench.walletId}`]);
    const [open, ...more] = await openCases(bench.deps.pool);
    expect(more).toEqual([]);
    const notes = async () => (await readCase(bench.deps.pool, open?.id ?? ''))?.history.slice(1);
    expect(await notes()).toMatchObject([{ event: 'noted', actor: 'system' }]);
    expect((await notes())?.[0]?.note).toMatch(/^more is at stake, 6: .*payments: halted$/);
    // Lifted knowing of it, with the case still open: no news, until more is missing.
    await inTransaction(bench.deps.pool, async (tx) => {
      await liftHalt(tx, {
        scope: `wallet:${bench.walletId}`,
        reason: 'test',
        people: ['ana', 'ben'],
      });
    });
    expect(await halted()).toEqual([]);
    await missing(5n);
    expect(await halted()).toEqual([]);
    await missing(7n);
    expect(await halted()).toEqual([]);
    expect(await halted()).toEqual([`wallet:${bench.walletId}`]);
    expect(await notes()).toHaveLength(2);
    await missing(0n);
    await expectBalanced();
  });

  it('stock that is booked under another tier lies at the same address; that of no wallet is seen by nobody', async () => {
    const { ledger, pool, clock, random } = bench.deps;
    const [hot, cold] = [chainHot(bench.walletId), chainCold(bench.walletId)];
    const elsewhere = chainCold(newId('wal', clock, random));
    await ledger.openAccounts(
      pool,
      [cold, elsewhere].map((path) => ({ path, asset: ether })),
    );
    const move = async (from: TierMirror, to: TierMirror, units: bigint) => {
      const line = { rebalanceId: newId('reb', clock, random), amount: amount(ether, units) };
      await inTransaction(pool, async (tx) => {
        await ledger.applyOrThrow([...rebalanceStart({ ...line, from, to }), ...rebalancePaid(line)], tx);
      });
    };
    await move(hot, cold, 3n);
    await expectBalanced();
    await move(hot, elsewhere, 2n);
    // On the books it is there; nobody looks. The address has it still, which is a surplus.
    await run();
    await run();
    expect(await cases()).toEqual([
      ['reconciliation-unwatched', elsewhere],
      ['reconciliation-hot', bench.hot],
    ]);
    expect(await halts()).toEqual([elsewhere.replace('chain:cold', 'wallet')]);
    await move(elsewhere, hot, 2n);
    await expectBalanced();
  });

  it('figures of the database that no longer agree are named at once', async () => {
    const { pool } = bench.deps;
    await pool.query("UPDATE operations.deposit SET units = units + 1 WHERE state = 'FINAL' AND units = $1", [
      oneEther.toString(),
    ]);
    expect(await run()).toMatchObject({ casesOpened: 1 });
    expect((await cases()).map(([kind]) => kind)).toEqual(['reconciliation-deposit-records']);
    expect(await halts()).toEqual([`wallet:${bench.walletId}`]);
    await pool.query("UPDATE operations.deposit SET units = units - 1 WHERE state = 'FINAL' AND units = $1", [
      (oneEther + 1n).toString(),
    ]);
    await expectBalanced();
  });

  it('a signed payment that is no longer what its intent says is named at once, with what is at stake', async () => {
    const { accountId } = await bench.customer(oneEther);
    const id = await bench.queued(accountId, oneEther / 8n, outside);
    const { batchId } = await bench.claim();
    expect((await signPayment(bench.deps, { paymentId: id, number: 0 })).outcome).toBe('signed');
    await expectBalanced();
    const { intentId } = await bench.operations.withdrawal(id);
    const { pool } = bench.deps;
    await pool.query('UPDATE operations.withdrawal SET intent_id = $2 WHERE id = $1', [
      id,
      await otherIntent(intentId),
    ]);
    expect(await run()).toMatchObject({ casesOpened: 1 });
    expect(await cases()).toEqual([['reconciliation-signed-without-intent', intentId]]);
    expect(await halts()).toEqual([`wallet:${bench.walletId}`]);
    const [open] = await openCases(pool);
    expect(open?.details).toMatchObject({ atStake: (oneEther / 8n).toString() });
    await pool.query('UPDATE operations.withdrawal SET intent_id = $2 WHERE id = $1', [id, intentId]);
    await expectBalanced();
    await recover();
    await sendPayment(bench.deps, { paymentId: id });
    await bench.settle();
    expect(await closeBatch(bench.deps, batchId ?? '')).toBe(true);
    await expectBalanced();
  });

  it('bytes that pay somebody else than the columns beside them say are read, and named', async () => {
    const { accountId } = await bench.customer(oneEther);
    const id = await bench.queued(accountId, oneEther / 9n, outside);
    await bench.claim();
    expect((await signPayment(bench.deps, { paymentId: id, number: 0 })).outcome).toBe('signed');
    await expectBalanced();
    const { intentId } = await bench.operations.withdrawal(id);
    const [attempt] = await attemptsOf(bench.deps.pool, intentId);
    const { pool } = bench.deps;
    const write = async (raw: string) => {
      await pool.query('ALTER TABLE chains.attempt DISABLE TRIGGER USER');
      await pool.query('UPDATE chains.attempt SET raw = $2 WHERE id = $1', [attempt?.id, raw]);
      await pool.query('ALTER TABLE chains.attempt ENABLE TRIGGER USER');
    };
    const raw = attempt?.signed?.raw ?? '';
    const recipient = outside.slice(2).toLowerCase();
    expect(raw).toContain(recipient);
    for (const [spoilt, named] of [
      [raw.replace(recipient, '11'.repeat(20)), '0x1111111111111111111111111111111111111111'],
      ['c0', 'bytes that nobody can read'],
    ] as const) {
      await write(spoilt);
      expect(await run()).toMatchObject({ breaks: 1, casesOpened: 1 });
      expect(await cases()).toEqual([['reconciliation-signed-otherwise', id]]);
      expect((await lastReport()).breaks[0]).toContain(named);
      expect(await halts()).toEqual([`wallet:${bench.walletId}`]);
      await write(raw);
      await expectBalanced();
      await recover();
    }
    // What is stored of the intent is no longer one: told like one that is missing, and the rest is still looked at.
    const spoil = async (canonical: string) => {
      await pool.query('ALTER TABLE operations.intent DISABLE TRIGGER USER');
      await pool.query('UPDATE operations.intent SET canonical = $2 WHERE id = $1', [intentId, canonical]);
      await pool.query('ALTER TABLE operations.intent ENABLE TRIGGER USER');
    };
    const { rows } = await pool.query<{ canonical: string }>(
      'SELECT canonical FROM operations.intent WHERE id = $1',
      [intentId],
    );
    for (const canonical of ['not json', '{}', 'null']) {
      await spoil(canonical);
      expect(await run()).toMatchObject({ notJudged: null, breaks: 1, casesOpened: 1 });
      expect((await cases()).map(([kind]) => kind)).toEqual(['reconciliation-signed-without-intent']);
      await spoil(rows[0]?.canonical ?? '');
      await expectBalanced();
      await recover();
    }
    await sendPayment(bench.deps, { paymentId: id });
    await bench.settle();
    await expectBalanced();
  });

  it('a payment by somebody else with the key is missing value, an outflow without intent, and one case per fact', async () => {
    const { address } = await bench.customer(oneEther);
    const txId = await bench.steal(address, oneEther / 2n);
    await bench.mine(3);
    // Not followed yet: the node shows it above the height the books speak of.
    await expectBalanced();
    await expect(bench.follow()).rejects.toMatchObject({ code: 'CHAINS_HALTED' });
    await recover();
    await bench.settle();
    await run();
    expect(await cases()).toEqual([['outflow-without-intent', `${chain}/${txId}`]]);
    await run();
    expect((await cases()).map(([kind]) => kind).sort()).toEqual([
      'outflow-without-intent',
      'reconciliation-address',
      'reconciliation-deposit',
    ]);
    expect(await halts()).toEqual([`wallet:${bench.walletId}`]);
  });

  it('a transaction of ours that the watcher never saw is missed in the count', async () => {
    await recover();
    const { pool } = bench.deps;
    await pool.query("DELETE FROM operations.outflow WHERE intent_id IS NULL AND state = 'FINAL'");
    await run();
    await run();
    expect((await cases()).map(([kind]) => kind)).toContain('reconciliation-sent');
    expect(await halts()).toContain(`wallet:${bench.walletId}`);
  });
});

async function otherIntent(intentId: string): Promise<string> {
  const { rows } = await bench.deps.pool.query<{ id: string }>(
    `INSERT INTO operations.intent (id, canonical, hash, key_id, signature)
       SELECT 'int_copy', canonical, hash || 'x', key_id, signature FROM operations.intent WHERE id = $1 RETURNING id`,
    [intentId],
  );
  return rows[0]?.id ?? '';
}
