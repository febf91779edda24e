/** The rows of transfers between main and spot. */
import { createHash } from 'node:crypto';
import { errorsOf, invariant } from '#core/errors';
import { type Id, uuidOf } from '#core/ids';
import { assetId } from '#core/money';
import type { Queryable } from '#infra/db';
import type { SettledEngine } from '../settlement/store.ts';
import type { RejectReason } from '../vocabulary.ts';
import type { SpotTransfer, SpotTransferView } from './contract.ts';
import { tradingErrors } from './errors.ts';

const fail = errorsOf(tradingErrors);

export interface SpotRow {
  readonly view: SpotTransferView;
  /** Of the debit in the engine. */
  readonly clientId: bigint;
  /** The greatest number a debit of it may get in the engine, as the row was read; undefined: none was sent. */
  readonly debitBySeq: number | undefined;
}
interface StoredRow {
  readonly id: string;
  readonly account: string;
  readonly asset: string;
  readonly units: string;
  readonly to_spot: boolean;
  readonly client_id: string;
  readonly state: SpotTransferView['state'];
  readonly refusal: RejectReason | null;
  readonly at_ms: string;
  readonly debit_by: string | null;
}
const columns = 'id, account, asset, units, to_spot, client_id, state, refusal, at_ms, debit_by';

const rowOf = (stored: StoredRow): SpotRow => ({
  view: {
    id: `spt_${stored.id}`,
    accountId: `acc_${stored.account}`,
    asset: assetId(stored.asset),
    units: stored.units,
    direction: stored.to_spot ? 'to-spot' : 'to-main',
    state: stored.state,
    ...(stored.refusal === null ? {} : { refusal: stored.refusal }),
  },
  clientId: BigInt(stored.client_id),
  debitBySeq: stored.debit_by === null ? undefined : Number.parseInt(stored.debit_by, 10),
});

/** The same for the same transfer, and no customer comes upon it by counting: 64 bits of a hash. */
export function clientIdOf(id: Id<'spt'>): bigint {
  const bits = createHash('sha256').update(`strongroom/spot/v1\n${id}`).digest().readBigUInt64BE();
  return bits === 0n ? 1n : bits;
}

/** Undefined when there is one of this id already. */
export async function insertSpotRow(
  queryable: Queryable,
  engine: SettledEngine,
  transfer: SpotTransfer,
  atMs: number,
): Promise<SpotRow | undefined> {
  const { rows } = await queryable.query<StoredRow>(
    `INSERT INTO matching.spot_transfer (id, engine, account, asset, units, to_spot, client_id, at_ms)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING RETURNING ${columns}`,
    [
      uuidOf(transfer.id),
      engine.no,
      uuidOf(transfer.accountId),
      transfer.asset,
      transfer.units,
      transfer.direction === 'to-spot',
      clientIdOf(transfer.id).toString(),
      atMs,
    ],
  );
  return rows[0] === undefined ? undefined : rowOf(rows[0]);
}

export async function findSpotRow(
  queryable: Queryable,
  engine: SettledEngine,
  id: Id<'spt'>,
): Promise<SpotRow | undefined> {
  const { rows } = await queryable.query<StoredRow>(
    `SELECT ${columns} FROM matching.spot_transfer WHERE id = $1 AND engine = $2`,
    [uuidOf(id), engine.no],
  );
  return rows[0] === undefined ? undefined : rowOf(rows[0]);
}

/** @throws TRADING_TRANSFER_UNKNOWN */
export async function readSpotRow(
  queryable: Queryable,
  engine: SettledEngine,
  id: Id<'spt'>,
): Promise<SpotRow> {
  const row = await findSpotRow(queryable, engine, id);
  if (row === undefined) throw fail('TRADING_TRANSFER_UNKNOWN', `there is no transfer ${id}`, { id });
  return row;
}

/**
 * The one that was asked for under this id before.
 * @throws TRADING_TRANSFER_CONFLICT when it was another
 */
export async function sameSpotRow(
  queryable: Queryable,
  engine: SettledEngine,
  transfer: SpotTransfer,
): Promise<SpotRow> {
  const { rows } = await queryable.query<StoredRow>(
    `SELECT ${columns} FROM matching.spot_transfer
      WHERE id = $1 AND engine = $2 AND account = $3 AND asset = $4 AND units = $5 AND to_spot = $6`,
    [
      uuidOf(transfer.id),
      engine.no,
      uuidOf(transfer.accountId),
      transfer.asset,
      transfer.units,
      transfer.direction === 'to-spot',
    ],
  );
  if (rows[0] === undefined)
    throw fail('TRADING_TRANSFER_CONFLICT', `${transfer.id} is a transfer with other content`, {
      id: transfer.id,
    });
  return rowOf(rows[0]);
}

/** Of another attempt that ended it first, its end counts. @returns as it is now */
export async function endSpotRow(
  queryable: Queryable,
  engine: SettledEngine,
  { view }: SpotRow,
  state: 'done' | 'returned',
): Promise<SpotTransferView> {
  const { rows } = await queryable.query<StoredRow>(
    `UPDATE matching.spot_transfer SET state = $2 WHERE id = $1 AND state = 'pending' RETURNING ${columns}`,
    [uuidOf(view.id), state],
  );
  const ended =
    rows[0] === undefined ? (await readSpotRow(queryable, engine, view.id)).view : rowOf(rows[0]).view;
  invariant(ended.state === state, 'a transfer ends one way', { id: view.id, is: ended.state, found: state });
  return ended;
}

/**
 * Before a debit is sent. `debitBySeq` is that of the row, or a new one when no debit under that of the row can come any more.
 * @returns false when another attempt has ended it, or begun anew, meanwhile, or the main account is closed: nothing may be sent
 */
export async function noteDebit(queryable: Queryable, row: SpotRow, debitBySeq: number): Promise<boolean> {
  const { rowCount } = await queryable.query(
    `UPDATE matching.spot_transfer SET debit_by = $2,
            sent = CASE WHEN debit_by = $2 THEN sent ELSE 0 END + 1, refused = CASE WHEN debit_by = $2 THEN refused ELSE 0 END
      WHERE id = $1 AND state = 'pending' AND debit_by IS NOT DISTINCT FROM $3`,
    [uuidOf(row.view.id), debitBySeq, row.debitBySeq ?? null],
  );
  return rowCount === 1;
}

/** A debit that was noted is known not to have been taken, now or ever. */
export async function noteRefused(queryable: Queryable, row: SpotRow, debitBySeq: number): Promise<void> {
  await queryable.query(
    `UPDATE matching.spot_transfer SET refused = refused + 1 WHERE id = $1 AND state = 'pending' AND debit_by = $2 AND refused < sent`,
    [uuidOf(row.view.id), debitBySeq],
  );
}

/** Ends it if no debit that was sent can have been taken, of whichever attempt; else it goes on. @returns as it is now */
export async function refuseSpotRow(
  queryable: Queryable,
  engine: SettledEngine,
  { view }: SpotRow,
  refusal: RejectReason,
): Promise<SpotTransferView> {
  const { rows } = await queryable.query<StoredRow>(
    `UPDATE matching.spot_transfer SET state = 'refused', refusal = $2
      WHERE id = $1 AND state = 'pending' AND refused = sent RETURNING ${columns}`,
    [uuidOf(view.id), refusal],
  );
  return rows[0] === undefined ? (await readSpotRow(queryable, engine, view.id)).view : rowOf(rows[0]).view;
}

/** Where a round over what is pending has got to. */
export interface PendingPlace {
  readonly atMs: string;
  readonly id: string;
}
/** The oldest after a place, asked for before `beforeMs`. */
export async function pendingSpotRows(
  queryable: Queryable,
  engine: SettledEngine,
  range: { readonly after: PendingPlace; readonly beforeMs: number; readonly limit: number },
): Promise<readonly { readonly row: SpotRow; readonly place: PendingPlace }[]> {
  const { rows } = await queryable.query<StoredRow>(
    `SELECT ${columns} FROM matching.spot_transfer
      WHERE engine = $1 AND state = 'pending' AND (at_ms, id) > ($2, $3) AND at_ms < $4 ORDER BY at_ms, id LIMIT $5`,
    [engine.no, range.after.atMs, range.after.id, range.beforeMs, range.limit],
  );
  return rows.map((stored) => ({ row: rowOf(stored), place: { atMs: stored.at_ms, id: stored.id } }));
}
