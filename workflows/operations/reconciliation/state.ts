/** What reconciliation says now: the last runs of each chain and the breaks that stand. */
import type { Queryable } from '#infra/db';
import type { OperationsDeps } from '../context.ts';
import type { ReconciliationLine } from './index.ts';

/** A page for a person; more breaks than this are one incident. */
const breaksMax = 200;
/** Enough to see whether the last ones are judged and since when there are breaks. */
const runsTold = 10;

export interface StandingBreak {
  readonly check: string;
  readonly subject: string;
  readonly unit: string;
  readonly walletId: string | null;
  /** Signed decimal strings. */
  readonly difference: string;
  readonly atStake: string;
  readonly problem: string;
  /** Runs in a row that found it. */
  readonly runs: number;
  readonly firstAt: number;
  readonly caseId: string | null;
}
/** Heights are null where a run could say nothing. */
export interface ReconciliationTurn {
  readonly at: number;
  readonly notJudged: string | null;
  readonly booksHeight: number | null;
  readonly height: number | null;
  readonly breaks: number;
}
export interface ReconciliationState {
  readonly chain: string;
  /** Newest first; none before the first. */
  readonly runs: readonly ReconciliationTurn[];
  /** Of the newest run that was judged. */
  readonly lines: readonly ReconciliationLine[];
  /** Oldest first. */
  readonly breaks: readonly StandingBreak[];
}

interface RunRow {
  readonly at: Date;
  readonly not_judged: string | null;
  readonly books_height: string | null;
  readonly height: string | null;
  readonly breaks: number;
}
const heightOf = (text: string | null): number | null => (text === null ? null : Number.parseInt(text, 10));

async function lastRuns(db: Queryable, chain: string): Promise<readonly ReconciliationTurn[]> {
  const { rows } = await db.query<RunRow>(
    `SELECT at, not_judged, books_height, height, coalesce((report ->> 'breaksFound')::int, 0) AS breaks
       FROM operations.reconciliation_run WHERE chain = $1 ORDER BY id DESC LIMIT ${runsTold}`,
    [chain],
  );
  return rows.map((row) => ({
    at: row.at.getTime(),
    notJudged: row.not_judged,
    booksHeight: heightOf(row.books_height),
    height: heightOf(row.height),
    breaks: row.breaks,
  }));
}

async function lastLines(db: Queryable, chain: string): Promise<readonly ReconciliationLine[]> {
  const { rows } = await db.query<{ lines: readonly ReconciliationLine[] }>(
    `SELECT report -> 'lines' AS lines FROM operations.reconciliation_run
      WHERE chain = $1 AND not_judged IS NULL ORDER BY id DESC LIMIT 1`,
    [chain],
  );
  return rows[0]?.lines ?? [];
}

async function standingBreaks(db: Queryable, chain: string): Promise<readonly StandingBreak[]> {
  const { rows } = await db.query<Omit<StandingBreak, 'firstAt'> & { readonly firstAt: Date }>(
    `SELECT check_name AS check, subject, unit, wallet_id AS "walletId", difference::text, at_stake::text AS "atStake",
            problem, runs, first_at AS "firstAt", case_id AS "caseId"
       FROM operations.reconciliation_break WHERE chain = $1 ORDER BY first_at, key LIMIT ${breaksMax}`,
    [chain],
  );
  return rows.map((row) => ({ ...row, firstAt: row.firstAt.getTime() }));
}

/** One entry per configured chain. */
export async function reconciliationState({
  pool,
  chains,
}: OperationsDeps): Promise<readonly ReconciliationState[]> {
  return await Promise.all(
    chains.list.map(async ({ chain }) => ({
      chain,
      runs: await lastRuns(pool, chain),
      lines: await lastLines(pool, chain),
      breaks: await standingBreaks(pool, chain),
    })),
  );
}
