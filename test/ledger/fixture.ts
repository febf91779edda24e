/** Short names for ledger tests. */
import { derivedId, type Id } from '#core/ids';
import { amount, assetId } from '#core/money';
import type { AccountPath, MoveCommand, TransferCommand } from '#ledger/contract';

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
