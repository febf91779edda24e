/**
 * One run of the three-way reconciliation of a chain: books in one snapshot, the node at one final height, compared, and
 * what differs booked as breaks, cases and halts (docs/decisions/0017).
 */
import { isStrongroomError, messageOf } from '#core/errors';
import { derivedId } from '#core/ids';
import { type ChainId, chainId } from '#core/money';
import { openCase } from '#infra/cases';
import { inTransaction, type Tx } from '#infra/db';
import { type Break, breakKey, reconcile as compare, type QuantityLine } from '#ledger/contract';
import { type OperationsDeps, settingsOf } from '../context.ts';
import { keepProgress } from '../progress.ts';
import { type Books, readBooks } from './books.ts';
import { bookBreaks } from './breaks.ts';
import { observe } from './observations.ts';
import { straysMax } from './payment-records.ts';

/** Runs kept per chain: a day at one a minute and some. */
const runsKept = 2_000;
/** Runs in a row of which nothing could be said, after which a person is told: silence is not agreement. */
const notJudgedRunsMax = 10;
/** Lines and breaks written out in a run's report; with {@link runsKept} some hundred MiB at the very worst. */
const reportedMax = 200;
/** Per address there is a line for each that differs and none for each that agrees. */
const checksPerAddress: ReadonlySet<string> = new Set(['address', 'sent']);

export interface ReconciliationLine {
  readonly check: string;
  readonly subject: string;
  readonly unit: string;
  readonly walletId: string | null;
  /** Signed decimal strings. */
  readonly booked: string;
  readonly observed: string;
  readonly unposted: string;
  readonly difference: string;
}
export interface ReconciliationReport {
  readonly lines: readonly ReconciliationLine[];
  readonly breaks: readonly string[];
  /** All of them, also those that are not written out. */
  readonly breaksFound: number;
  readonly addresses: number;
  readonly payments: number;
}
export interface ReconciliationRun {
  readonly runId: string;
  readonly notJudged: string | null;
  readonly breaks: number;
  readonly casesOpened: number;
}

const lineOf = (line: QuantityLine): ReconciliationLine => ({
  check: line.check,
  subject: line.subject,
  unit: line.unit,
  walletId: line.walletId,
  booked: line.booked.toString(),
  observed: line.observed.toString(),
  unposted: line.unposted.toString(),
  difference: line.difference.toString(),
});

interface Judged {
  readonly books: Books;
  readonly height: number;
  readonly lines: readonly QuantityLine[];
  readonly breaks: readonly Break[];
}

function reportOf({ books, lines, breaks }: Judged): ReconciliationReport {
  const ofAddresses = (line: QuantityLine) => checksPerAddress.has(line.check);
  const told = [
    ...lines.filter((line) => !ofAddresses(line)),
    ...lines.filter((line) => ofAddresses(line) && line.difference !== 0n),
  ];
  return {
    lines: told.slice(0, reportedMax).map(lineOf),
    breaks: breaks.slice(0, reportedMax).map((each) => `${breakKey(each)}: ${each.problem}`),
    breaksFound: breaks.length,
    addresses: books.wallets.reduce((sum, { deposit }) => sum + deposit.length + 1, 0),
    payments: books.payments.length,
  };
}

async function judge(deps: OperationsDeps, chain: ChainId): Promise<Judged | { readonly notJudged: string }> {
  try {
    const books = await readBooks(deps, chain);
    if (books === undefined) return { notJudged: 'the watcher has recorded no final block' };
    const observed = await observe(deps.chains.adapter(chain), books);
    if ('notJudged' in observed) return observed;
    const quantities = [...observed.quantities, ...books.quantities];
    const { payments, strays } = books;
    return { books, height: observed.height, ...compare({ quantities, payments, strays }) };
  } catch (error) {
    // A node that is away or an address that cannot be verified proves nothing; that it stays so becomes a case.
    if (isStrongroomError(error)) return { notJudged: messageOf(error) };
    throw error;
  }
}

async function insertRun(
  tx: Tx,
  chain: ChainId,
  judged: Judged | { readonly notJudged: string },
): Promise<string> {
  const values =
    'notJudged' in judged
      ? [judged.notJudged.slice(0, 500), null, null, '{}']
      : [null, judged.books.block.height, judged.height, JSON.stringify(reportOf(judged))];
  const { rows } = await tx.query<{ id: string }>(
    `INSERT INTO operations.reconciliation_run (chain, not_judged, books_height, height, report)
     VALUES ($1, $2, $3, $4, $5::jsonb) RETURNING id`,
    [chain, ...values],
  );
  await tx.query(
    `DELETE FROM operations.reconciliation_run WHERE chain = $1 AND id <=
       (SELECT id FROM operations.reconciliation_run WHERE chain = $1 ORDER BY id DESC OFFSET $2 LIMIT 1)`,
    [chain, runsKept],
  );
  return rows[0]?.id ?? '';
}

async function tellSilence(tx: Tx, chain: ChainId, runId: string): Promise<number> {
  const { rows } = await tx.query<{ not_judged: string | null }>(
    'SELECT not_judged FROM operations.reconciliation_run WHERE chain = $1 ORDER BY id DESC LIMIT $2',
    [chain, notJudgedRunsMax],
  );
  if (rows.length < notJudgedRunsMax || rows.some((row) => row.not_judged === null)) return 0;
  const { opened } = await openCase(tx, {
    id: derivedId('case', `reconciliation-not-judged/${chain}/${runId}`),
    kind: 'reconciliation-not-judged',
    subject: chain,
    details: { runs: notJudgedRunsMax, reason: rows[0]?.not_judged ?? '' },
  });
  return opened ? 1 : 0;
}

async function bookJudged(
  deps: OperationsDeps,
  tx: Tx,
  chain: ChainId,
  runId: string,
  judged: Judged,
): Promise<number> {
  const { books, lines, breaks } = judged;
  const seen = new Set(lines.map((line) => breakKey(line)));
  const payments = new Set(
    books.payments.flatMap(({ intentId, paymentId }) => [intentId, paymentId ?? intentId]),
  );
  const areAllStrays = books.strays.length < straysMax;
  const opened = await bookBreaks(tx, {
    chain,
    runId,
    breaks,
    boundUnits: settingsOf(deps, chain).breakBoundUnits,
    hasLooked: ({ key, check, subject }) =>
      seen.has(key) || payments.has(subject) || (areAllStrays && check === 'outflow-without-intent'),
  });
  await keepProgress(tx, books.progress);
  return opened;
}

/**
 * Safe to repeat: it reads, and a break that is booked again is the same break. What the node does not say now is no
 * break; the run is then kept as not judged.
 */
export async function reconcile(deps: OperationsDeps, chainText: string): Promise<ReconciliationRun> {
  const chain = chainId(chainText);
  const judged = await judge(deps, chain);
  return await inTransaction(deps.pool, async (tx) => {
    await tx.query("SELECT pg_advisory_xact_lock(hashtextextended('operations.reconciliation/' || $1, 0))", [
      chain,
    ]);
    const runId = await insertRun(tx, chain, judged);
    if ('notJudged' in judged)
      return {
        runId,
        notJudged: judged.notJudged,
        breaks: 0,
        casesOpened: await tellSilence(tx, chain, runId),
      };
    const casesOpened = await bookJudged(deps, tx, chain, runId, judged);
    return { runId, notJudged: null, breaks: judged.breaks.length, casesOpened };
  });
}
