/** A database for one bench run, with two sets of books in it: the ledger's, and the usual way's. */
import { randomBytes, randomInt } from 'node:crypto';
import { derivedId, newId } from '#core/ids';
import { amount, assetId } from '#core/money';
import type { Clock, Random } from '#core/ports';
import type { Pool } from '#infra/db';
import { createLedger } from '#ledger';
import {
  type AccountPath,
  type AccountRef,
  customerMain,
  houseIncome,
  portionsOf,
  suspense,
  type TransferCommand,
} from '#ledger/contract';
import { type Database, openThrowawayDatabase } from '../../infra/dev/throwaway-database.ts';

export const asset = assetId('ledger:bench');
const accountsPerCall = 5_000;
/** As for a server of its own: indexes of 20 million transfers stay in memory. */
const serverSettings = { shared_buffers: '2GB', max_wal_size: '4GB' };
/** More than any run can spend from one account. */
const fundUnits = 1_000_000_000n;

export type Workload = 'random' | 'hot';
export interface Samples {
  readonly operations: number;
  readonly elapsedMs: number;
  readonly latenciesMs: readonly number[];
}

const clock: Clock = { nowMs: () => Date.now() };
const random: Random = { bytes: (length) => randomBytes(length) };
export const freshId = () => newId('tr', clock, random);

export const openDatabase = async (): Promise<Database> => await openThrowawayDatabase(serverSettings);

const pathOf = (index: number): AccountPath => customerMain(derivedId('acc', `bench ${index}`));
export const pathsOf = (accounts: number): readonly AccountPath[] =>
  Array.from({ length: accounts + 1 }, (_, index) => pathOf(index));

export function moveOf(debit: AccountPath, credit: AccountPath, units: bigint): TransferCommand {
  const id = freshId();
  return { id, kind: 'post', debit, credit, amount: amount(asset, units), code: 'inflow', reference: id };
}

/** Two different accounts of `accounts`; the hot one is number `accounts`, paid by all others. */
export function pair(accounts: number, workload: Workload): [number, number] {
  const debit = randomInt(accounts);
  return [debit, workload === 'hot' ? accounts : (debit + 1 + randomInt(accounts - 1)) % accounts];
}

export function randomMove(paths: readonly AccountPath[], workload: Workload): TransferCommand {
  const [debit, credit] = pair(paths.length - 1, workload);
  return moveOf(paths[debit] ?? houseIncome, paths[credit] ?? houseIncome, 1n);
}

/** Opens accounts, and books what they begin with. */
export async function openFunded(
  pool: Pool,
  accounts: readonly AccountRef[],
  commands: readonly TransferCommand[],
): Promise<void> {
  const ledger = createLedger({ pool });
  for (let start = 0; start < accounts.length; start += accountsPerCall)
    await ledger.openAccounts(pool, accounts.slice(start, start + accountsPerCall));
  for (const portion of portionsOf(commands, accountsPerCall)) {
    const refused = (await ledger.apply(portion)).find(({ status }) => status !== 'ok');
    if (refused !== undefined)
      throw new Error(`${refused.account ?? refused.id} is not funded: ${refused.status}`);
  }
}

/** Opens and funds the accounts in both sets of books. */
export async function fund(pool: Pool, paths: readonly AccountPath[]): Promise<void> {
  const source = suspense(derivedId('wal', 'bench'));
  await openFunded(
    pool,
    [source, ...paths].map((accountPath) => ({ path: accountPath, asset })),
    paths.map((accountPath) => moveOf(source, accountPath, fundUnits)),
  );
  // The same that the ledger answers questions by: ids, accounts, and who may see what of an account.
  await pool.query(`CREATE SCHEMA naive;
    CREATE TABLE naive.account (id bigint PRIMARY KEY, balance numeric(78, 0) NOT NULL CHECK (balance >= 0)) WITH (fillfactor = 50);
    CREATE TABLE naive.transfer (
      seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id uuid NOT NULL UNIQUE, debit bigint NOT NULL,
      credit bigint NOT NULL, amount numeric(78, 0) NOT NULL CHECK (amount > 0), reference text NOT NULL);
    CREATE INDEX transfer_debit ON naive.transfer (debit, seq);
    CREATE INDEX transfer_credit ON naive.transfer (credit, seq);
    CREATE INDEX transfer_reference ON naive.transfer (reference);
    CREATE FUNCTION naive.transfer_one(p_id uuid, p_debit bigint, p_credit bigint, p_amount numeric, p_reference text)
    RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM FROM naive.account WHERE id IN (p_debit, p_credit) ORDER BY id FOR UPDATE;
      UPDATE naive.account SET balance = balance - p_amount WHERE id = p_debit;
      UPDATE naive.account SET balance = balance + p_amount WHERE id = p_credit;
      INSERT INTO naive.transfer (id, debit, credit, amount, reference) VALUES (p_id, p_debit, p_credit, p_amount, p_reference);
    END $$`);
  await pool.query(`INSERT INTO naive.account SELECT i, ${fundUnits} FROM generate_series(0, $1::int) AS i`, [
    paths.length,
  ]);
  await pool.query('VACUUM ANALYZE');
}

/** Runs `call` over and over on each of `workers` lanes. */
export async function measure(
  workers: number,
  forMs: number,
  operationsPerCall: number,
  call: () => Promise<void>,
): Promise<Samples> {
  const latenciesMs: number[] = [];
  const start = performance.now();
  await Promise.all(
    Array.from({ length: workers }, async () => {
      while (performance.now() - start < forMs) {
        const begun = performance.now();
        await call();
        latenciesMs.push(performance.now() - begun);
      }
    }),
  );
  return {
    operations: latenciesMs.length * operationsPerCall,
    elapsedMs: performance.now() - start,
    latenciesMs,
  };
}
