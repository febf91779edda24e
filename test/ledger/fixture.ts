/** Short names for ledger tests. */
import { derivedId, type Id } from '#core/ids';
import { amount, assetId } from '#core/money';
import type { Queryable } from '#infra/db';
import { type AccountPath, adjustmentHash, type MoveCommand, type TransferCommand } from '#ledger/contract';

export const ether = assetId('eip155:31337/slip44:60');
export const gold = assetId('ledger:gold');
export const eth = (units: bigint) => amount(ether, units);

export const accountOf = (name: string | number): Id<'acc'> => derivedId('acc', String(name));
export const walletOf = (name: string | number): Id<'wal'> => derivedId('wal', String(name));
export const transferOf = (name: string | number): Id<'tr'> => derivedId('tr', String(name));

let made = 0;
/** An id that no other call of this process gave. */
export const freshId = (): Id<'tr'> => transferOf(`fresh ${++made} ${process.pid}`);

export function post(
  debit: AccountPath,
  credit: AccountPath,
  units: bigint,
  extra: Partial<Omit<MoveCommand, 'kind' | 'amount'>> & { asset?: typeof ether } = {},
): MoveCommand {
  const { asset = ether, ...rest } = extra;
  return {
    id: freshId(),
    kind: 'post',
    debit,
    credit,
    amount: amount(asset, units),
    code: 'inflow',
    reference: 'test',
    ...rest,
  };
}

export const pending = (...args: Parameters<typeof post>): MoveCommand => ({
  ...post(...args),
  kind: 'pending',
});

export const postPending = (pendingId: Id<'tr'>, units: bigint, asset = ether): TransferCommand => ({
  id: freshId(),
  kind: 'post-pending',
  pendingId,
  amount: amount(asset, units),
  code: 'withdrawal-paid',
  reference: 'test',
});

export const voidPending = (pendingId: Id<'tr'>): TransferCommand => ({
  id: freshId(),
  kind: 'void-pending',
  pendingId,
  code: 'withdrawal-released',
  reference: 'test',
});

export const expirePending = (pendingId: Id<'tr'>): TransferCommand => ({
  id: freshId(),
  kind: 'expire-pending',
  pendingId,
  code: 'hold-expired',
  reference: 'test',
});

const accountStatus =
  (kind: 'close-account' | 'reopen-account') =>
  (account: AccountPath, asset = ether): TransferCommand => ({
    id: freshId(),
    kind,
    account,
    asset,
    code: 'account-status',
    reference: 'test',
  });
export const closeAccount = accountStatus('close-account');
export const reopenAccount = accountStatus('reopen-account');

/** The ledger behind `queryable` with another clock: what asks for `apply_batch` gets `apply_batch_at`. */
export function atClock(queryable: Queryable, nowMs: () => number): Queryable {
  type Statement = { readonly name: string; readonly text: string; readonly values: unknown[] };
  const run = queryable.query.bind(queryable) as (statement: Statement) => unknown;
  const query = (statement: Statement): unknown => {
    const call = 'ledger.apply_batch(';
    if (!statement.text.includes(call)) return run(statement);
    return run({
      name: `${statement.name}-at`,
      text: statement.text.replace(call, `ledger.apply_batch_at($${statement.values.length + 1}, `),
      values: [...statement.values, nowMs()],
    });
  };
  return { query: query as Queryable['query'] };
}

/**
 * The rows of an adjustment as the database wants them: proposed by alice, and approved by another or nobody. Returns the
 * command as it can be booked, under the name of what was agreed to.
 */
export async function proposeAdjustment(
  queryable: Queryable,
  command: MoveCommand,
  approvedBy?: 'bob',
): Promise<MoveCommand> {
  const { id, debit, credit, amount: moved } = command;
  const [uuid, reason, proposedBy] = [id.slice('tr_'.length), `test ${id}`, 'alice'];
  const reference = adjustmentHash({ proposedBy, reason, legs: [{ debit, credit, amount: moved }] });
  await queryable.query(
    `INSERT INTO ledger.adjustment (id, content, leg, debit, credit, asset, amount, reason, proposed_by)
       VALUES ($1, $2, 1, $3, $4, $5, $6, $7, $8)`,
    [uuid, reference, debit, credit, moved.asset, moved.units.toString(), reason, proposedBy],
  );
  if (approvedBy !== undefined)
    await queryable.query('INSERT INTO ledger.adjustment_approval (adjustment, person) VALUES ($1, $2)', [
      uuid,
      approvedBy,
    ]);
  return { ...command, reference };
}

/**
 * How the newest batch was applied. All at once is one UPDATE in a subtransaction, whose number the balances then carry; one
 * by one is the batch's own transaction, as of the head.
 */
export async function wayOfNewestBatch(queryable: Queryable): Promise<string> {
  const { rows } = await queryable.query<{ way: string }>(
    `SELECT CASE WHEN b.xmin = h.xmin THEN 'one by one' ELSE 'at once' END AS way
       FROM ledger.head AS h JOIN ledger.balance AS b ON b.last_seq = h.last_seq LIMIT 1`,
  );
  return rows[0]?.way ?? 'none';
}
