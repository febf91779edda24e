/** `ledger balance`, `ledger statement` and `ledger explain`: what was, and how one movement came about. */
import { errorsOf } from '#core/errors';
import type { Pool, Queryable } from '#infra/db';
import {
  type AsOf,
  balanceAt,
  balanceJson,
  type ExplainedTransfer,
  explain,
  explainedTransfersMax,
  newestBatch,
  statementLineJson,
  statementPage,
  transferJson,
} from '#ledger';
import type { AccountRef, Transfer } from '#ledger/contract';
import { cliErrors } from '../contract.ts';
import { formatTable, formatTime } from '../format.ts';
import type { Output } from '../output.ts';
import { movementOf, positionOf, timeOf } from './ledger-connection.ts';

const fail = errorsOf(cliErrors);

/** @throws CLI_OPTION_INVALID */
function asOfOptions({ batch, time }: { readonly batch?: string; readonly time?: string }): AsOf {
  if (batch !== undefined && time !== undefined)
    throw fail('CLI_OPTION_INVALID', 'give --batch or --time, not both');
  if (batch !== undefined) return { batch: positionOf('--batch', batch) };
  return time === undefined ? newestBatch : { timeMs: timeOf('--time', time) };
}

/** With --full a question reads as much of the journal as it takes, for as long as it takes. */
const limitsOf = ({ full }: { readonly full?: true }): { readonly rowsMax?: number } =>
  full === true ? { rowsMax: Number.MAX_SAFE_INTEGER } : {};

export async function showBalanceAt(
  pool: Pool,
  account: AccountRef,
  options: { readonly batch?: string; readonly time?: string; readonly full?: true },
  output: Output,
): Promise<void> {
  const asOf = asOfOptions(options);
  const at = await balanceAt(pool, { account, asOf, limits: limitsOf(options) });
  output.show(
    balanceJson(at),
    [
      `${at.path} ${at.asset}${at.closed ? ', closed' : ''}`,
      `balance    ${at.balance}`,
      `available  ${at.available}`,
      at.batch === 0n ? 'before the first batch' : `at batch ${at.batch}, ${formatTime(at.recordedMs)}`,
    ].join('\n'),
  );
}

export async function showStatement(
  pool: Pool,
  account: AccountRef,
  options: { readonly limit: number; readonly cursor?: string; readonly full?: true },
  output: Output,
): Promise<void> {
  const { limit, cursor } = options;
  const { lines, next } = await statementPage(pool, {
    account,
    limit,
    ...(cursor === undefined ? {} : { cursor }),
    limits: limitsOf(options),
  });
  const rows = [
    ['seq', 'recorded', 'code', 'change', 'balance', 'available', 'with', 'reference'],
    ...lines.map((line) => [
      `${line.seq}`,
      formatTime(line.recordedMs),
      line.code,
      `${line.change}`,
      `${line.balance}`,
      `${line.available}`,
      line.counterAccount ?? '',
      line.reference,
    ]),
  ];
  output.show(
    { lines: lines.map(statementLineJson), ...(next === undefined ? {} : { next }) },
    [
      lines.length === 0 ? 'no transfers' : formatTable(rows),
      ...(next === undefined ? [] : [`older: --cursor ${next}`]),
    ].join('\n'),
  );
}

// ---------------------------------------------------------------- explain

function explainedJson(each: ExplainedTransfer): Record<string, unknown> {
  const { transfer, hold, resolves, adjustment, correctedBy, path, names } = each;
  const adjustmentJson = (of: NonNullable<typeof adjustment>) => ({
    id: of.id,
    reason: of.reason,
    proposedBy: of.proposedBy,
    proposedAtMs: of.proposedAt.getTime(),
    approvedBy: of.approvals.map(({ person }) => person),
    booked: of.booked,
    ...(of.corrects === undefined ? {} : { corrects: of.corrects }),
  });
  return {
    transfer: transferJson(transfer),
    ...(hold === undefined
      ? {}
      : {
          hold: {
            state: hold.state,
            ...(hold.expiresMs === undefined ? {} : { expiresMs: hold.expiresMs }),
            ...(hold.resolvedBy === undefined ? {} : { resolvedBy: transferJson(hold.resolvedBy) }),
          },
        }),
    ...(resolves === undefined ? {} : { resolves: transferJson(resolves) }),
    ...(adjustment === undefined ? {} : { adjustment: adjustmentJson(adjustment) }),
    correctedBy: correctedBy.map(adjustmentJson),
    path: {
      ...path,
      batch: path.batch.toString(),
      firstSeq: path.firstSeq.toString(),
      lastSeq: path.lastSeq.toString(),
      upTo: { ...path.upTo, batch: path.upTo.batch.toString() },
      ...(path.signedHead === undefined
        ? {}
        : { signedHead: { ...path.signedHead, batch: path.signedHead.batch.toString() } }),
    },
    names: { ...names, from: names.from.toString(), to: names.to.toString() },
  };
}

const legs = (t: Transfer): string =>
  t.debit === t.credit
    ? `  account ${t.debit}`
    : `  debit   ${t.debit}\n  credit  ${t.credit}\n  amount  ${t.amount.units} of ${t.amount.asset}`;

function pathLines({ path }: ExplainedTransfer): string[] {
  const { upTo } = path;
  return [
    `  batch ${path.batch} (transfers ${path.firstSeq} to ${path.lastSeq}) ${path.hash}`,
    `  ${path.links} batches on to ${upTo.isHead ? 'the head' : 'batch'} ${upTo.batch} ${upTo.hash}, recomputed`,
    ...(path.signedHead === undefined
      ? []
      : [`  head of batch ${path.signedHead.batch} signed ${formatTime(path.signedHead.signedMs)}`]),
    ...path.problems.map((problem) => `  FALSE: ${problem}`),
  ];
}

function describe(each: ExplainedTransfer): string {
  const { transfer: t, hold, resolves, adjustment, correctedBy } = each;
  return [
    `${t.seq}  ${t.id}  ${t.kind}, ${t.code} of ${t.reference}, ${formatTime(t.recordedMs)}`,
    legs(t),
    ...(hold === undefined
      ? []
      : [`  hold ${hold.state}${hold.resolvedBy === undefined ? '' : ` by ${hold.resolvedBy.id}`}`]),
    ...(resolves === undefined ? [] : [`  ends the hold ${resolves.id} of ${resolves.amount.units}`]),
    ...(adjustment === undefined
      ? []
      : [
          `  adjustment proposed by ${adjustment.proposedBy}, approved by ${adjustment.approvals.map(({ person }) => person).join(', ')}: ${adjustment.reason}`,
        ]),
    ...correctedBy.map((of) => `  corrected by ${of.id} (${of.proposedBy}): ${of.reason}`),
    ...pathLines(each),
  ].join('\n');
}

/** What the business event of a reference was, where this database has the tables of withdrawals and deposits. */
async function originOf(db: Queryable, reference: string): Promise<Record<string, unknown> | undefined> {
  // Loaded here only: it brings the chains and the workflow client with it, which no other ledger command needs.
  const { movementOrigin } = await import('#workflows');
  return await movementOrigin(db, reference);
}

function namesLines([first]: readonly ExplainedTransfer[]): string[] {
  if (first === undefined) return [];
  const { from, to, isComplete, problems } = first.names;
  return [
    `names of accounts ${from} to ${to} recomputed${isComplete ? '' : '; there are more: ledger verify reads all'}`,
    ...problems.map((problem) => `FALSE: ${problem}`),
  ];
}

/** Exit code 1 when the hash path, or the names of the accounts, do not hold. @throws LEDGER_TRANSFER_UNKNOWN */
export async function showExplanation(
  pool: Pool,
  what: string,
  options: { readonly publicKey?: string },
  output: Output,
): Promise<number> {
  const explained = await explain(pool, movementOf(what), options);
  const reference = explained[0]?.transfer.reference ?? '';
  const origin = await originOf(pool, reference);
  const ok = explained.every(({ path, names }) => path.problems.length + names.problems.length === 0);
  const isCut = explained.length === explainedTransfersMax;
  output.show(
    {
      ok,
      reference,
      isCut,
      transfers: explained.map(explainedJson),
      ...(origin === undefined ? {} : { origin }),
    },
    [
      ...explained.map(describe),
      namesLines(explained).join('\n'),
      ...(isCut
        ? [`the first ${explainedTransfersMax} of ${reference}; there may be more: ledger export`]
        : []),
      ...(origin === undefined ? [] : [`${reference} is ${JSON.stringify(origin, null, 2)}`]),
    ].join('\n\n'),
  );
  return ok ? 0 : 1;
}
