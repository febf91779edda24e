/**
 * The whole suite for one test file, and the invariants every scenario must leave behind, read from the node and the
 * database and not from what the suite says of itself.
 */
import { expect } from 'vitest';
import { openPool, type Pool } from '#infra/db';
import { createApiClient, type Withdrawal } from '../../infra/dev/demo/api-client.ts';
import { createChainClient, type NodeTransaction, until } from '../../infra/dev/demo/chain-client.ts';
import {
  asset,
  balance,
  type DemoContext,
  freshAddress,
  readWithdrawal,
  requestWithdrawal,
  waitForWithdrawal,
} from '../../infra/dev/demo/context.ts';
import { tellDeposit, tellDkg, tellFloat, tellSweep } from '../../infra/dev/demo/deposit-steps.ts';
import { tellProof } from '../../infra/dev/demo/proof-step.ts';
import { createStory } from '../../infra/dev/demo/story.ts';
import type { EnvironmentOptions } from '../../infra/dev/environment.ts';
import { booksOnlyUsd } from '../../infra/dev/suite-files.ts';
import { environmentForThisFile } from '../support/environment.ts';
import { decodeTransaction } from '../support/rlp.ts';

export interface FaultSuite {
  readonly context: DemoContext;
  readonly pool: Pool;
}

const silence = () => undefined;
/** Calls to the node under way at once while the chain is read whole. */
const blocksAtOnce = 50;

/** At the top of a test file: the processes stop with the file. Blocks come only when a scenario mines them. */
export async function suiteForThisFile(options: EnvironmentOptions = {}): Promise<FaultSuite> {
  const environment = await environmentForThisFile({ anvil: { noMining: true }, ...options });
  const { files } = environment;
  if (files === undefined) throw new Error('the environment has no suite');
  const node = createChainClient(environment.anvilUrl);
  const context: DemoContext = {
    environment,
    files,
    api: createApiClient(environment.apiUrl, files),
    node,
    story: createStory(silence),
    strangers: await node.call<string[]>('eth_accounts', []),
    found: { accountId: '', depositAddress: '', hotAddress: '', withdrawals: [] },
  };
  const pool = openPool({ connectionString: environment.postgresUrl, applicationName: 'fault-tests' });
  return { context, pool };
}

/** The first steps of the demo: a key, 20 ETH of the house, 100 ETH of a customer at the hot address. */
export async function fund({ context }: FaultSuite): Promise<void> {
  await tellDkg(context);
  await tellFloat(context);
  await tellDeposit(context);
  await tellSweep(context);
}

export interface Paid {
  readonly id: string;
  readonly address: string;
  readonly units: bigint;
}

/** Asks for a withdrawal to an address that nothing was ever paid to. */
export async function ask({ context }: FaultSuite, units: bigint): Promise<Paid> {
  const address = freshAddress();
  const { id } = await requestWithdrawal(context, { address, units });
  return { id, address, units };
}

export async function untilFinal({ context }: FaultSuite, paid: Paid): Promise<Withdrawal> {
  return await waitForWithdrawal(context, paid.id, 'FINAL', { mine: true });
}

export async function untilTrue(what: string, probe: () => boolean | Promise<boolean>): Promise<void> {
  await until(what, async () => ((await probe()) ? true : undefined), { everyMs: 50 });
}

/** Every transaction on the node's chain. */
async function transactionsOnChain({ context: { node } }: FaultSuite): Promise<readonly NodeTransaction[]> {
  const head = await node.height();
  const found: NodeTransaction[] = [];
  for (let from = 0; from <= head; from += blocksAtOnce) {
    const heights = Array.from({ length: Math.min(blocksAtOnce, head - from + 1) }, (_, at) => from + at);
    for (const block of await Promise.all(heights.map(node.block))) found.push(...block.transactions);
  }
  return found;
}

/** Exactly one transaction on the chain pays the fresh address, and it pays what was asked. */
export async function expectPaidOnce(suite: FaultSuite, paid: Paid): Promise<NodeTransaction> {
  const payments = (await transactionsOnChain(suite)).filter(
    ({ to }) => to?.toLowerCase() === paid.address.toLowerCase(),
  );
  expect(payments, `payments to ${paid.address}`).toHaveLength(1);
  const { node } = suite.context;
  expect(await node.balance(paid.address, await node.height())).toBe(paid.units);
  const payment = payments[0];
  if (payment === undefined) throw new Error('no payment');
  return payment;
}

export interface StoredAttempt {
  readonly intentId: string;
  readonly sender: string;
  readonly nonce: string;
  readonly raw: string | null;
  readonly txId: string | null;
  readonly detail: string | null;
}

/** All attempts of one withdrawal, or of everything, oldest first. */
export async function storedAttempts(
  { pool }: FaultSuite,
  withdrawalId?: string,
): Promise<readonly StoredAttempt[]> {
  const { rows } = await pool.query<StoredAttempt>(
    `SELECT o.intent_id AS "intentId", o.sender, o.nonce::text AS nonce, a.raw, a.tx_id AS "txId", a.detail
       FROM chains.outgoing o JOIN chains.attempt a ON a.outgoing_id = o.id
      WHERE $1::text IS NULL OR o.intent_id = (SELECT intent_id FROM operations.withdrawal WHERE id = $1)
      ORDER BY a.created_at`,
    [withdrawalId ?? null],
  );
  return rows;
}

export async function withdrawalEvents({ pool }: FaultSuite, id: string): Promise<readonly string[]> {
  const { rows } = await pool.query<{ event: string }>(
    'SELECT event FROM operations.withdrawal_event WHERE withdrawal_id = $1 ORDER BY seq',
    [id],
  );
  return rows.map(({ event }) => event);
}

/** No hold without an owner that is still open, no open owner without its hold. */
async function expectHoldsOwned({ pool }: FaultSuite): Promise<void> {
  const { rows } = await pool.query(
    `WITH held AS (
       SELECT t.code::text, t.reference, p.amount FROM ledger.pending p
         JOIN ledger.transfer_id i ON i.id = p.id JOIN ledger.transfer t ON t.seq = i.seq WHERE p.state = 'pending'
     ), owed AS (
       SELECT 'withdrawal-hold' AS code, id AS reference, units AS amount FROM operations.withdrawal
        WHERE state NOT IN ('FINAL', 'REJECTED', 'EXPIRED', 'CANCELLED')
       UNION ALL SELECT 'network-fee', id, fee_cap_units FROM operations.withdrawal WHERE fee_reserved
       UNION ALL SELECT unnest(ARRAY['sweep', 'network-fee']), id, unnest(ARRAY[units, fee_cap_units])
         FROM operations.sweep WHERE state IN ('SIGNING', 'BROADCAST', 'CONFIRMED')
     )
     SELECT held.*, owed.* FROM held FULL JOIN owed USING (code, reference, amount)
      WHERE held.code IS NULL OR owed.code IS NULL`,
  );
  expect(rows, 'holds without owner, owners without hold').toEqual([]);
}

/** An intent has one nonce and a nonce one intent; its attempts differ by their fees only. */
async function expectOneConflictSetEach(suite: FaultSuite): Promise<void> {
  const effects = new Map<string, Set<string>>();
  const owners = new Map<string, Set<string>>();
  for (const { intentId, sender, nonce, raw } of await storedAttempts(suite)) {
    if (raw === null) continue;
    const signed = decodeTransaction(raw);
    expect([signed.sender, signed.nonce.toString()]).toEqual([sender.toLowerCase(), nonce]);
    const place = `${signed.chainId}/${sender}/${nonce}`;
    const effect = `${place}/${signed.to}/${signed.value}/${signed.dataHex}`;
    effects.set(intentId, (effects.get(intentId) ?? new Set()).add(effect));
    owners.set(place, (owners.get(place) ?? new Set()).add(intentId));
  }
  for (const [intentId, seen] of effects) expect([...seen], `effects of ${intentId}`).toHaveLength(1);
  for (const [place, seen] of owners) expect([...seen], `intents of ${place}`).toHaveLength(1);
}

/** Whatever left the hot address is a stored attempt, and every paid withdrawal was paid by one of them. */
async function expectPaymentsMatch(suite: FaultSuite): Promise<void> {
  const { hotAddress } = suite.context.found;
  const known = new Set((await storedAttempts(suite)).map(({ txId }) => txId));
  const all = await transactionsOnChain(suite);
  const foreign = all.filter(
    ({ from, hash }) => from.toLowerCase() === hotAddress.toLowerCase() && !known.has(hash),
  );
  expect(foreign, 'transactions of the hot address that nobody stored').toEqual([]);
  const { rows } = await suite.pool.query<{ id: string; address: string; state: string }>(
    'SELECT id, address, state FROM operations.withdrawal',
  );
  for (const { id, address, state } of rows) {
    const count = all.filter(({ to }) => to?.toLowerCase() === address.toLowerCase()).length;
    if (state === 'FINAL') expect(count, `payments of ${id}`).toBe(1);
    else expect(count, `payments of ${id}, ${state}`).toBeLessThanOrEqual(state === 'CONFIRMED' ? 1 : 0);
  }
}

export async function expectLedgerTrue({ pool }: FaultSuite): Promise<void> {
  expect((await pool.query('SELECT * FROM ledger.verify()')).rows).toEqual([]);
}

/** What must hold after every scenario that ends in peace; the proof line throws when the difference is not 0. */
export async function expectInvariants(suite: FaultSuite): Promise<void> {
  await expectLedgerTrue(suite);
  await expectHoldsOwned(suite);
  await expectOneConflictSetEach(suite);
  await expectPaymentsMatch(suite);
  const { proof } = await tellProof(suite.context);
  expect(proof.map((line) => [line.asset, line.difference])).toEqual([
    [asset, '0'],
    [booksOnlyUsd.asset, '0'],
  ]);
}

export async function available(suite: FaultSuite): Promise<{ available: bigint; held: bigint }> {
  const now = await balance(suite.context);
  return { available: BigInt(now.available), held: BigInt(now.held) };
}

/** Waits for the end through an outage: what the api answers meanwhile does not count, what it never answers does. */
export async function untilFinalThroughOutage(suite: FaultSuite, paid: Paid): Promise<void> {
  const { node } = suite.context;
  await until(
    `withdrawal ${paid.id} to be FINAL after the outage`,
    async () => {
      await node.mine(1);
      const found = await readWithdrawal(suite.context, paid.id).catch(() => undefined);
      return found?.state === 'FINAL' ? found : undefined;
    },
    { timeoutMs: 60_000, everyMs: 200 },
  );
}
