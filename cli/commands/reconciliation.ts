/** `reconciliation`: what books, chain and signatures say of each other, and what of it does not fit. */
import { transactionsUnit } from '#ledger/contract';
import type { ReconciliationState } from '#workflows';
import { readAssets, type ShowAmount } from '../assets.ts';
import { type Connection, call } from '../client.ts';
import { formatTable, formatTime } from '../format.ts';
import type { Output } from '../output.ts';

/** An amount of an asset, or a count as it is. */
const shownBy =
  (show: ShowAmount, unit: string) =>
  (units: string): string =>
    unit === transactionsUnit ? units : show(unit, units);

function runsOf({ runs }: ReconciliationState): string {
  if (runs.length === 0) return '  no run yet';
  return formatTable([
    ['  run', 'books at', 'chain at', 'breaks'],
    ...runs.map(({ at, notJudged, booksHeight, height, breaks }) => [
      `  ${formatTime(at)}`,
      ...(notJudged === null
        ? [String(booksHeight), String(height), String(breaks)]
        : ['-', '-', `not judged: ${notJudged}`]),
    ]),
  ]);
}

function linesOf({ lines }: ReconciliationState, show: ShowAmount): string {
  return formatTable([
    ['  compared', 'of', 'booked', 'there', 'not booked yet', 'difference'],
    ...lines.map(({ check, subject, unit, booked, observed, unposted, difference }) => [
      `  ${check}`,
      subject,
      ...[booked, observed, unposted, difference].map(shownBy(show, unit)),
    ]),
  ]);
}

function breaksOf({ breaks }: ReconciliationState, show: ShowAmount): string {
  if (breaks.length === 0) return '  no breaks';
  const rows = breaks.map(({ check, subject, unit, difference, atStake, runs, firstAt, caseId }) => [
    `  ${check}`,
    subject,
    ...[difference, atStake].map(shownBy(show, unit)),
    String(runs),
    formatTime(firstAt),
    caseId ?? '-',
  ]);
  return formatTable([['  break', 'of', 'difference', 'at stake', 'runs', 'since', 'case'], ...rows]);
}

/** Exit code 1 while a break stands, or the newest run of a chain could say nothing: silence is not agreement. */
export async function showReconciliation(connection: Connection, output: Output): Promise<number> {
  const answer = await call<{ chains: readonly ReconciliationState[] }>(
    connection,
    'GET',
    '/v1/reconciliation',
  );
  const show = await readAssets(connection);
  const { chains } = answer;
  const texts = chains.map((state) =>
    [state.chain, breaksOf(state, show), linesOf(state, show), runsOf(state)].join('\n'),
  );
  output.show(answer, texts.join('\n\n'));
  const isGood = ({ runs, breaks }: ReconciliationState) =>
    breaks.length === 0 && runs[0] !== undefined && runs[0].notJudged === null;
  return chains.every(isGood) ? 0 : 1;
}
