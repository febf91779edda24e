/**
 * The books proven here, from the rows alone. `ledger.verify` is faster and proves more, but it is a function of the database:
 * whoever owns the database can put one in its place that finds nothing. What is added up here is what was hashed here, so a
 * signed head that fits proves these rows, each of them. A database that shows one ledger to this and another to everybody
 * else remains possible; compare a balance that matters with this run's.
 */
import type { Queryable } from '#infra/db';
import {
  areRowsOf,
  type BatchHeader,
  firstPrevious,
  hashOfAccount,
  hashOfHeader,
  headersOf,
  linesOf,
  noAccounts,
  type TransferLine,
} from './chain.ts';
import type { LedgerProblem } from './contract.ts';
import { Replay } from './replay.ts';

/** Accounts in memory at once, besides the sums of all: 2 MB. */
const accountsPerPage = 10_000;
/** What is wrong further on is mostly so because of what was wrong before. */
const problemsMax = 1_000;

export interface Recomputed {
  readonly problems: readonly LedgerProblem[];
  /** The newest batch as it was computed; hold signed heads against this. */
  readonly batch: bigint;
  readonly hash: string;
  readonly transfers: bigint;
  readonly accounts: number;
}

class Recomputation {
  readonly #db: Queryable;
  readonly #problems: LedgerProblem[] = [];
  readonly #replay: Replay;

  constructor(db: Queryable) {
    this.#db = db;
    this.#replay = new Replay((check, place, problem) => {
      this.#note(check, place, problem);
    });
  }

  #note(check: LedgerProblem['check'], place: string, problem: string): void {
    if (this.#problems.length < problemsMax) this.#problems.push({ check, place, problem });
  }

  async run(): Promise<Recomputed> {
    const accounts = await this.#readRegister();
    const newest = await this.#readChain();
    await this.#compareBalances();
    await this.#compareHolds();
    return { problems: this.#problems, accounts, ...newest };
  }

  async #readRegister(): Promise<number> {
    let before: Buffer = noAccounts;
    for (let count = 0; ; ) {
      const { rows } = await this.#db.query<{ id: string; path: string; asset: string; hash: Buffer }>(
        `SELECT id, path, asset, hash FROM ledger.account WHERE id > $1 ORDER BY id LIMIT ${accountsPerPage}`,
        [count],
      );
      for (const account of rows) {
        count += 1;
        before = hashOfAccount(before, account);
        if (account.id !== String(count) || !before.equals(account.hash)) {
          this.#note(
            'register',
            `account ${count}`,
            'is missing, or its name or that of one before was changed',
          );
          before = account.hash; // told once
          count = Number.parseInt(account.id, 10);
        }
        this.#replay.open(account);
      }
      if (rows.length < accountsPerPage) return count;
    }
  }

  /** One pass over headers and transfers side by side. */
  async #readChain(): Promise<Pick<Recomputed, 'batch' | 'hash' | 'transfers'>> {
    const { rows } = await this.#db.query<{ batch: string; seq: string }>(
      `SELECT (SELECT coalesce(max(no), 0) FROM ledger.batch) AS batch, (SELECT coalesce(max(seq), 0) FROM ledger.transfer) AS seq`,
    );
    const to = BigInt(rows[0]?.batch ?? 0);
    const lines = linesOf(this.#db, { from: 1n, to: BigInt(rows[0]?.seq ?? 0) });
    let line = await lines.next();
    let last = { no: 0n, seq: 0n, hash: firstPrevious };
    for await (const header of headersOf(this.#db, { from: 1n, to })) {
      const own: TransferLine[] = [];
      const lastSeq = BigInt(header.last_seq);
      for (; line.done !== true && BigInt(line.value.seq) <= lastSeq; line = await lines.next())
        own.push(line.value);
      last = this.#takeBatch(header, own, last);
    }
    for (; line.done !== true; line = await lines.next()) {
      this.#note('journal', `seq ${line.value.seq}`, 'belongs to no batch');
      this.#replay.apply(line.value);
    }
    return { batch: last.no, hash: `sha256:${last.hash.toString('hex')}`, transfers: last.seq };
  }

  #takeBatch(
    header: BatchHeader,
    lines: readonly TransferLine[],
    last: { readonly no: bigint; readonly seq: bigint; readonly hash: Buffer },
  ): { no: bigint; seq: bigint; hash: Buffer } {
    const no = BigInt(header.no);
    const place = `batch ${no}`;
    const hash = hashOfHeader(header);
    if (
      !areRowsOf(
        header,
        lines.map(({ line }) => line),
      )
    )
      this.#note('batch', place, 'its transfers are not those it was written with');
    if (
      no !== last.no + 1n ||
      BigInt(header.first_seq) !== last.seq + 1n ||
      !header.prev_hash.equals(last.hash)
    )
      this.#note('chain', place, 'does not continue the batch before');
    if (!hash.equals(header.hash)) this.#note('chain', place, 'its hash is not that of its content');
    for (const line of lines) this.#replay.apply(line);
    return { no, seq: BigInt(header.last_seq), hash };
  }

  async #compareBalances(): Promise<void> {
    for (let after = 0n; ; ) {
      const { rows } = await this.#db.query<Record<'account' | 'last_seq' | 'sums' | 'closed', string>>(
        `SELECT account, last_seq, closed::text AS closed,
                concat_ws(' ', debits_pending, debits_posted, credits_pending, credits_posted) AS sums
           FROM ledger.balance WHERE account > $1 ORDER BY account LIMIT ${accountsPerPage}`,
        [after],
      );
      for (const row of rows) this.#replay.compare(row);
      const last = rows.at(-1);
      if (last === undefined || rows.length < accountsPerPage) break;
      after = BigInt(last.account);
    }
    this.#replay.noteUncompared();
  }

  async #compareHolds(): Promise<void> {
    const open = new Set(this.#replay.openHolds());
    for (let after = '00000000-0000-0000-0000-000000000000'; ; ) {
      const { rows } = await this.#db.query<{ id: string }>(
        `SELECT id FROM ledger.pending WHERE state = 'pending' AND id > $1 ORDER BY id LIMIT ${accountsPerPage}`,
        [after],
      );
      for (const { id } of rows)
        if (!open.delete(id)) this.#note('pending', id, 'is open, and by the journal it is not');
      const last = rows.at(-1);
      if (last === undefined || rows.length < accountsPerPage) break;
      after = last.id;
    }
    for (const id of open) this.#note('pending', id, 'is not open, and by the journal it is');
  }
}

/**
 * Reads everything: about two minutes for ten million transfers on one core, and memory for the sums of all accounts.
 *
 * Left to `ledger.verify`: holds that have ended, the ids that were used, and who approved an
 * adjustment.
 * @param tx REPEATABLE READ, so that all parts of it see the same moment
 */
export async function recompute(tx: Queryable): Promise<Recomputed> {
  return await new Recomputation(tx).run();
}
