/** The rows of transfers between main and spot. */
import { createHash } from 'node:crypto';
import { errorsOf } from '#core/errors';
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
}
const columns = 'id, account, asset, units, to_spot, client_id, state, refusal, at_ms';

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

/** Of another attempt that ended it first, its end counts; but what is booked is done. @returns as it is now */
export async function endSpotRow(
  queryable: Queryable,
  engine: SettledEngine,
  { view }: SpotRow,
  state: 'done' | 'returned' | 'refused',
  refusal: RejectReason | null = null,
): Promise<SpotTransferView> {
  const { rows } = await queryable.query<StoredRow>(
    `UPDATE matching.spot_transfer SET state = $2, refusal = $3
      WHERE id = $1 AND (state = 'pending' OR (state = 'refused' AND $2 = 'done')) RETURNING ${columns}`,
    [uuidOf(view.id), state, refusal],
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
