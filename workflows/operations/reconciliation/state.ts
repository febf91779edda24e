/** What reconciliation says now: the last run of each chain and the breaks that stand. */
import type { OperationsDeps } from '../context.ts';
import type { ReconciliationLine } from './index.ts';

/** A page for a person; more breaks than this are one incident. */
const breaksMax = 200;

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
export interface ReconciliationState {
  readonly chain: string;
  readonly at: number;
  readonly notJudged: string | null;
  readonly booksHeight: number | null;
  readonly height: number | null;
  readonly lines: readonly ReconciliationLine[];
  readonly breaks: readonly StandingBreak[];
}

interface RunRow {
  readonly at: Date;
  readonly not_judged: string | null;
  readonly books_height: string | null;
  readonly height: string | null;
  readonly report: { readonly lines?: readonly ReconciliationLine[] };
}
const heightOf = (text: string | null): number | null => (text === null ? null : Number.parseInt(text, 10));

export async function reconciliationState(deps: OperationsDeps): Promise<readonly ReconciliationState[]> {
  const states: ReconciliationState[] = [];
  for (const { chain } of deps.chains.list) {
    const runs = await deps.pool.query<RunRow>(
      `SELECT at, not_judged, books_height, height, report FROM operations.reconciliation_run
        WHERE chain = $1 ORDER BY id DESC LIMIT 1`,
      [chain],
    );
    const [run] = runs.rows;
    if (run === undefined) continue;
    const breaks = await deps.pool.query<Omit<StandingBreak, 'firstAt'> & { readonly firstAt: Date }>(
      `SELECT check_name AS check, subject, unit, wallet_id AS "walletId", difference::text, at_stake::text AS "atStake",
              problem, runs, first_at AS "firstAt", case_id AS "caseId"
         FROM operations.reconciliation_break WHERE chain = $1 ORDER BY first_at, key LIMIT ${breaksMax}`,
      [chain],
    );
    states.push({
      chain,
      at: run.at.getTime(),
      notJudged: run.not_judged,
      booksHeight: heightOf(run.books_height),
      height: heightOf(run.height),
      lines: run.report.lines ?? [],
      breaks: breaks.rows.map((row) => ({ ...row, firstAt: row.firstAt.getTime() })),
    });
  }
  return states;
}
