/**
 * Everything the ledger knows about one movement of value: its legs, what belongs to it, and that it and the names of its
 * accounts are in the chain.
 */
import type { Sha256 } from '#core/canonical-json';
import { errorsOf } from '#core/errors';
import { type Id, uuidOf } from '#core/ids';
import type { Queryable } from '#infra/db';
import { type Adjustment, readAdjustment } from './adjustments.ts';
import type { Transfer } from './contract.ts';
import { ledgerErrors } from './errors.ts';
import { type HashPath, hashPath, hashPathBatchesMax } from './hash-path.ts';
import { transferColumns, transferJoins } from './reads.ts';
import { type RegisterPath, registerPath } from './register-path.ts';
import { type TransferRow, transferOf } from './rows.ts';

const fail = errorsOf(ledgerErrors);

/** A business event has under ten; more of one reference are not told one by one. */
export const explainedTransfersMax = 100;

export interface Hold {
  readonly state: 'pending' | 'posted' | 'voided' | 'expired';
  /** From when on it can only expire. */
  readonly expiresMs?: number;
  readonly resolvedBy?: Transfer;
}
export interface ExplainedTransfer {
  readonly transfer: Transfer;
  /** Of a pending transfer: what became of it. */
  readonly hold?: Hold;
  /** Of a transfer that ended a hold: the hold. */
  readonly resolves?: Transfer;
  /** Of an adjustment: why, and who agreed. */
  readonly adjustment?: Adjustment;
  /** Adjustments proposed because this transfer was wrong. */
  readonly correctedBy: readonly Adjustment[];
  readonly path: HashPath;
  /** That its accounts are called so. The same for all transfers that were explained together. */
  readonly names: RegisterPath;
}

const selectSql = `SELECT ${transferColumns} FROM ledger.transfer AS t ${transferJoins}`;

async function transferById(queryable: Queryable, id: string): Promise<Transfer | undefined> {
  const { rows } = await queryable.query<TransferRow>(
    `${selectSql} WHERE t.seq = (SELECT i.seq FROM ledger.transfer_id AS i WHERE i.id = $1)`,
    [id],
  );
  const [row] = rows;
  return row === undefined ? undefined : transferOf(row);
}

async function holdOf(queryable: Queryable, { id }: Transfer): Promise<Hold | undefined> {
  const { rows } = await queryable.query<{
    state: Hold['state'];
    expires_ms: string | null;
    resolved_by: string | null;
  }>('SELECT state, expires_ms, resolved_by FROM ledger.pending WHERE id = $1', [uuidOf(id)]);
  const [row] = rows;
  if (row === undefined) return undefined;
  const { state, expires_ms: expires, resolved_by: by } = row;
  const resolvedBy = by === null ? undefined : await transferById(queryable, by);
  return {
    state,
    ...(expires === null ? {} : { expiresMs: Number.parseInt(expires, 10) }),
    ...(resolvedBy === undefined ? {} : { resolvedBy }),
  };
}

/** By the transfer's id, which follows from content and leg; its reference is what somebody wrote. */
async function adjustmentOf(queryable: Queryable, { id }: Transfer): Promise<Adjustment | undefined> {
  const { rows } = await queryable.query<{ content: Sha256 }>(
    'SELECT content FROM ledger.adjustment WHERE id = $1',
    [uuidOf(id)],
  );
  const [row] = rows;
  return row === undefined ? undefined : await readAdjustment(queryable, row.content);
}

async function correctionsOf(queryable: Queryable, { id }: Transfer): Promise<Adjustment[]> {
  const { rows } = await queryable.query<{ content: Sha256 }>(
    'SELECT DISTINCT content FROM ledger.adjustment WHERE corrects = $1 ORDER BY content LIMIT $2',
    [uuidOf(id), explainedTransfersMax],
  );
  const found: Adjustment[] = [];
  for (const { content } of rows) found.push(await readAdjustment(queryable, content));
  return found;
}

/** Transfers of one batch share its path. */
type PathOf = (batch: bigint) => Promise<HashPath>;

async function explainOne(
  queryable: Queryable,
  transfer: Transfer,
  proofs: { readonly pathOf: PathOf; readonly names: RegisterPath },
): Promise<ExplainedTransfer> {
  const hold = transfer.kind === 'pending' ? await holdOf(queryable, transfer) : undefined;
  const resolves =
    transfer.pendingId === undefined ? undefined : await transferById(queryable, uuidOf(transfer.pendingId));
  const adjustment = transfer.code === 'adjustment' ? await adjustmentOf(queryable, transfer) : undefined;
  return {
    transfer,
    ...(hold === undefined ? {} : { hold }),
    ...(resolves === undefined ? {} : { resolves }),
    ...(adjustment === undefined ? {} : { adjustment }),
    correctedBy: await correctionsOf(queryable, transfer),
    path: await proofs.pathOf(transfer.batch),
    names: proofs.names,
  };
}

/** From the oldest account that one of them names up to the newest that the last of their batches binds. */
async function namesOf(queryable: Queryable, transfers: readonly Transfer[]): Promise<RegisterPath> {
  const { rows } = await queryable.query<{ oldest: string; newest: string }>(
    `SELECT (SELECT min(a.id) FROM unnest($1::text[], $2::text[]) AS u (path, asset)
               JOIN ledger.account AS a ON a.path = u.path AND a.asset = u.asset) AS oldest,
            (SELECT b.accounts FROM ledger.batch AS b WHERE b.no = $3) AS newest`,
    [
      transfers.flatMap(({ debit, credit }) => [debit, credit]),
      transfers.flatMap(({ amount: { asset } }) => [asset, asset]),
      transfers.at(-1)?.batch,
    ],
  );
  const { oldest = '1', newest = '0' } = rows[0] ?? {};
  return await registerPath(queryable, { from: BigInt(oldest), to: BigInt(newest) });
}

/**
 * One transfer by its id, or all with a reference, in the order of the journal.
 *
 * Cost: the headers of all batches since then are read and hashed, at most `hashPathBatchesMax` for all transfers together;
 * and the register of accounts from the oldest of them on.
 * @param what `tr_` id, or a reference; at most {@link explainedTransfersMax} of one reference are explained
 * @param options.publicKey the ledger's, Ed25519, 32 bytes hex: also finds the first signed head after the transfer
 * @throws LEDGER_TRANSFER_UNKNOWN, LEDGER_HEAD_INVALID
 */
export async function explain(
  queryable: Queryable,
  what: { readonly id: Id<'tr'> } | { readonly reference: string },
  options: { readonly publicKey?: string } = {},
): Promise<readonly ExplainedTransfer[]> {
  let transfers: Transfer[];
  if ('id' in what) {
    const found = await transferById(queryable, uuidOf(what.id));
    transfers = found === undefined ? [] : [found];
  } else {
    const { rows } = await queryable.query<TransferRow>(
      `${selectSql} WHERE t.reference = $1 ORDER BY t.seq LIMIT ${explainedTransfersMax}`,
      [what.reference],
    );
    transfers = rows.map(transferOf);
  }
  if (transfers.length === 0)
    throw fail(
      'LEDGER_TRANSFER_UNKNOWN',
      `there is no transfer ${'id' in what ? what.id : `of ${what.reference.slice(0, 128)}`}`,
    );
  const paths = new Map<bigint, HashPath>();
  let batchesMax = hashPathBatchesMax;
  const pathOf: PathOf = async (batch) => {
    const known = paths.get(batch);
    if (known !== undefined) return known;
    const path = await hashPath(queryable, batch, { ...options, batchesMax });
    paths.set(batch, path);
    batchesMax = Math.max(1, batchesMax - path.links);
    return path;
  };
  const explained: ExplainedTransfer[] = [];
  const names = await namesOf(queryable, transfers);
  for (const transfer of transfers) explained.push(await explainOne(queryable, transfer, { pathOf, names }));
  return explained;
}
