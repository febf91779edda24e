/** `ledger verify`: the books against themselves, and against the heads that were signed and kept elsewhere. */
import { randomBytes } from 'node:crypto';
import { errorsOf } from '#core/errors';
import { createHeadWitnesses } from '#custody';
import { committeeSchema } from '#custody/protocol';
import { inTransaction, type Pool } from '#infra/db';
import { createLedger, type Recomputed, recompute, verifyAllHeads } from '#ledger';
import type { BatchRange, LedgerProblem } from '#ledger/contract';
import { readJsonFile } from '../certificate/document.ts';
import { cliErrors } from '../contract.ts';
import { formatTime } from '../format.ts';
import type { Output } from '../output.ts';
import { type LedgerConfig, positionOf } from './ledger-connection.ts';

const fail = errorsOf(cliErrors);

/** What signed heads say; amounts of batches and transfers are decimal strings. */
interface HeadsVerdict {
  /** The newest batch that a signed head proves; every transfer up to `transfers` is bound by it. */
  readonly proven: {
    readonly batch: string;
    readonly transfers: string;
    readonly signedMs: number;
    readonly keepers: readonly string[];
  } | null;
  readonly unprovenBatches: string;
  /** Keepers that could not be asked. */
  readonly unread: readonly string[];
}
interface Verdict {
  readonly ok: boolean;
  readonly problems: readonly LedgerProblem[];
  /** All of the ledger, or a range of batches whose chain alone was checked. */
  readonly checked: 'everything' | { readonly fromBatch: string; readonly toBatch: string };
  /** What was hashed and added up here, without the functions of the database; null: nothing was. */
  readonly recomputed: { readonly batch: string; readonly transfers: string; readonly hash: string } | null;
  readonly head: {
    readonly batch: string;
    readonly transfers: string;
    readonly accounts: string;
    readonly hash: string;
  };
  /** Null: no public key was given. */
  readonly heads: HeadsVerdict | null;
}

async function readHead(pool: Pool): Promise<Verdict['head']> {
  const { rows } = await pool.query<{ batch_no: string; last_seq: string; accounts: string; hash: Buffer }>(
    'SELECT batch_no, last_seq, accounts, hash FROM ledger.head',
  );
  const [row] = rows;
  return {
    batch: row?.batch_no ?? '0',
    transfers: row?.last_seq ?? '0',
    accounts: row?.accounts ?? '0',
    hash: row === undefined ? '' : `sha256:${row.hash.toString('hex')}`,
  };
}

async function checkHeads(
  pool: Pool,
  options: {
    readonly publicKey: string;
    readonly committeeFile: string | undefined;
    readonly batches: bigint;
  },
): Promise<{ readonly verdict: HeadsVerdict; readonly problems: readonly LedgerProblem[] }> {
  const { publicKey, committeeFile, batches } = options;
  const committee = committeeFile === undefined ? undefined : readJsonFile(committeeFile, committeeSchema);
  const witnesses =
    committee === undefined
      ? undefined
      : createHeadWitnesses({ committee, random: { bytes: (length) => randomBytes(length) } });
  try {
    const { problems, proven, unprovenBatches, unread } = await verifyAllHeads(pool, {
      publicKey,
      ...(witnesses === undefined ? {} : { witnesses }),
    });
    const found: LedgerProblem[] = [...problems];
    if (proven === undefined && batches > 0n)
      found.push({
        check: 'exported-head',
        place: 'ledger',
        problem: 'no head signed with this key proves any batch',
      });
    if (committee !== undefined && unread.length === committee.members.length)
      found.push({
        check: 'exported-head',
        place: 'co-signers',
        problem: `none could be asked: ${unread.join('; ')}`,
      });
    const { rows } = await pool.query<{ last_seq: string }>(
      'SELECT last_seq FROM ledger.batch WHERE no = $1',
      [proven?.batch ?? 0n],
    );
    return {
      problems: found,
      verdict: {
        proven:
          proven === undefined
            ? null
            : { ...proven, batch: proven.batch.toString(), transfers: rows[0]?.last_seq ?? '0' },
        unprovenBatches: unprovenBatches.toString(),
        unread,
      },
    };
  } finally {
    witnesses?.close();
  }
}

async function recomputeHere(pool: Pool): Promise<Recomputed> {
  return await inTransaction(pool, async (tx) => {
    await tx.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY');
    return await recompute(tx);
  });
}

/** @throws CLI_OPTION_INVALID */
function rangeOf({ from, to }: { readonly from?: string; readonly to?: string }): BatchRange | undefined {
  if (from === undefined && to === undefined) return undefined;
  if (from === undefined || to === undefined)
    throw fail('CLI_OPTION_INVALID', '--from and --to are given together: the first and the last batch');
  const range = { from: positionOf('--from', from), to: positionOf('--to', to) };
  if (range.from < 1n || range.to < range.from)
    throw fail(
      'CLI_OPTION_INVALID',
      `batches ${range.from} to ${range.to} are no range; the first batch is 1`,
    );
  return range;
}

function headLines(heads: Verdict['heads']): string[] {
  if (heads === null)
    return [
      'no signed head was looked at (--public-key): whoever may write the database could have rewritten all of it',
    ];
  const { proven, unprovenBatches, unread } = heads;
  return [
    ...(proven === null
      ? []
      : [
          `${proven.batch} batches, ${proven.transfers} transfers proven by the head signed ${formatTime(proven.signedMs)}, kept by ${proven.keepers.join(', ')}`,
          `${unprovenBatches} newer batches are not in a signed head yet`,
        ]),
    ...unread.map((reason) => `could not be asked: ${reason}`),
  ];
}

/** A person reads the first; --json has all. */
const problemsShownMax = 100;

function describe(verdict: Verdict): string {
  const { ok, problems, checked, head, heads, recomputed } = verdict;
  const scope =
    checked === 'everything'
      ? `${head.accounts} accounts, ${head.transfers} transfers in ${head.batch} batches: balances, sums, holds, register, chain`
      : `the chain of batches ${checked.fromBatch} to ${checked.toBatch}`;
  return [
    ok ? `true: ${scope}` : `FALSE: ${problems.length} problems in ${scope}`,
    ...problems
      .slice(0, problemsShownMax)
      .map(({ check, place, problem }) => `  ${check}: ${place}: ${problem}`),
    ...(problems.length > problemsShownMax
      ? [`  and ${problems.length - problemsShownMax} more: --json`]
      : []),
    recomputed === null
      ? 'the database proved itself: whoever owns it can replace the functions that do so (--recompute does without them)'
      : `recomputed here: ${recomputed.transfers} transfers up to batch ${recomputed.batch}, ${recomputed.hash}`,
    `head ${head.hash}`,
    ...headLines(heads),
  ].join('\n');
}

/**
 * Exit code 0 when everything holds. A committee of which nobody answers, and a key that signed no head, do not hold: then
 * nothing was proven that an intruder could not have written.
 * @throws CLI_OPTION_INVALID, CLI_FILE_INVALID
 */
export async function showLedgerVerification(
  pool: Pool,
  config: LedgerConfig,
  options: { readonly from?: string; readonly to?: string; readonly recompute?: true },
  output: Output,
): Promise<number> {
  const { ledgerPublicKey: publicKey, committeeFile } = config;
  if (committeeFile !== undefined && publicKey === undefined)
    throw fail(
      'CLI_OPTION_INVALID',
      "co-signers are asked about the heads of a key: give the ledger's --public-key too",
    );
  const range = rangeOf(options);
  const head = await readHead(pool);
  if (range !== undefined && range.to > BigInt(head.batch))
    throw fail('CLI_OPTION_INVALID', `there is no batch ${range.to}; the newest is ${head.batch}`);
  if (range !== undefined && options.recompute === true)
    throw fail('CLI_OPTION_INVALID', '--recompute reads everything: it takes no --from and --to');
  const books = await createLedger({ pool }).verify(pool, range);
  const recomputed = options.recompute === true ? await recomputeHere(pool) : undefined;
  // After the books: what the witnesses have may be newer than what was just read, never older.
  const signed =
    publicKey === undefined
      ? undefined
      : await checkHeads(pool, { publicKey, committeeFile, batches: BigInt(head.batch) });
  const problems = [...books.problems, ...(recomputed?.problems ?? []), ...(signed?.problems ?? [])];
  const verdict: Verdict = {
    ok: problems.length === 0,
    problems,
    checked:
      range === undefined ? 'everything' : { fromBatch: range.from.toString(), toBatch: range.to.toString() },
    recomputed:
      recomputed === undefined
        ? null
        : {
            batch: recomputed.batch.toString(),
            transfers: recomputed.transfers.toString(),
            hash: recomputed.hash,
          },
    head,
    heads: signed?.verdict ?? null,
  };
  output.show(verdict, describe(verdict));
  return verdict.ok ? 0 : 1;
}
