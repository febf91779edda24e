/** The chart of accounts: how an account is named, and what follows from its name. */
import { errorsOf } from '#core/errors';
import { type Id, isId } from '#core/ids';
import type { AssetId } from '#core/money';
import { ledgerErrors } from './errors.ts';

const fail = errorsOf(ledgerErrors);

/** An account is a path and an asset; the same path may exist once per asset. */
export type AccountPath =
  | `customer:${Id<'acc'>}:main`
  | `customer:${Id<'acc'>}:spot`
  | `customer:${Id<'acc'>}:provisional`
  | `chain:pending:${Id<'wal'>}`
  | PayingMirror
  | `suspense:${Id<'wal'>}`
  | 'house:suspense'
  | 'house:equity'
  | 'house:income'
  | 'house:network-fee'
  | 'house:clearing';
/** The chain mirrors that an address can pay from. */
export type PayingMirror = `chain:deposit:${Id<'wal'>}` | TierMirror;
/** Mirrors of the addresses that hold the house's stock, by tier. */
export type TierMirror = `chain:hot:${Id<'wal'>}` | `chain:warm:${Id<'wal'>}` | `chain:cold:${Id<'wal'>}`;

export interface AccountRef {
  readonly path: AccountPath;
  readonly asset: AssetId;
}

export const customerMain = (accountId: Id<'acc'>) => `customer:${accountId}:main` as const;
/** What the matching engine trades with; moved to and from main by the engine's commands only. */
export const customerSpot = (accountId: Id<'acc'>) => `customer:${accountId}:spot` as const;
export const customerProvisional = (accountId: Id<'acc'>) => `customer:${accountId}:provisional` as const;
/** Mirror of deposits that are seen on chain and not final. */
export const chainPending = (walletId: Id<'wal'>) => `chain:pending:${walletId}` as const;
/** Mirror of the final balance of all deposit addresses of one wallet. */
export const chainDeposit = (walletId: Id<'wal'>) => `chain:deposit:${walletId}` as const;
/** Mirror of the hot address of one wallet. */
export const chainHot = (walletId: Id<'wal'>) => `chain:hot:${walletId}` as const;
export const chainWarm = (walletId: Id<'wal'>) => `chain:warm:${walletId}` as const;
export const chainCold = (walletId: Id<'wal'>) => `chain:cold:${walletId}` as const;
/** Value on chain that has no owner on our books yet, or a loss that nobody has taken yet (negative). */
export const suspense = (walletId: Id<'wal'>) => `suspense:${walletId}` as const;
/** The same for what no wallet stands behind: assets that live on our books only, and corrections. */
export const houseSuspense = 'house:suspense' as const;
export const houseEquity = 'house:equity' as const;
export const houseIncome = 'house:income' as const;
export const houseNetworkFee = 'house:network-fee' as const;
/** Stands between buyers and sellers while trades are settled net; 0 again at the end of every portion. */
export const houseClearing = 'house:clearing' as const;

export const accountKinds = [
  'customer-main',
  'customer-spot',
  'customer-provisional',
  'chain-pending',
  'chain-deposit',
  'chain-hot',
  'chain-warm',
  'chain-cold',
  'suspense',
  'house-equity',
  'house-income',
  'house-network-fee',
  'house-clearing',
] as const;
export type AccountKind = (typeof accountKinds)[number];

/** `credit`: balance = credits - debits. `debit`: balance = debits - credits. */
export type Side = 'credit' | 'debit';
/**
 * What the database refuses.
 * `held`: debits posted + pending may not exceed credits posted, so that a hold counts as spent.
 * `posted`: the posted balance may not be negative; pending lines are not looked at, else the hold of a customer whose
 * deposit is not swept yet would be refused. `none`: either sign.
 */
export type Floor = 'held' | 'posted' | 'none';

/** Side and floor follow from the kind, and the kind from the path. The SQL function `ledger.kind_of` says the same. */
export const accountRules: Readonly<Record<AccountKind, { readonly side: Side; readonly floor: Floor }>> = {
  'customer-main': { side: 'credit', floor: 'held' },
  'customer-spot': { side: 'credit', floor: 'held' },
  'customer-provisional': { side: 'credit', floor: 'held' },
  'chain-pending': { side: 'debit', floor: 'posted' },
  'chain-deposit': { side: 'debit', floor: 'posted' },
  'chain-hot': { side: 'debit', floor: 'posted' },
  'chain-warm': { side: 'debit', floor: 'posted' },
  'chain-cold': { side: 'debit', floor: 'posted' },
  suspense: { side: 'credit', floor: 'none' },
  'house-equity': { side: 'credit', floor: 'held' },
  'house-income': { side: 'credit', floor: 'held' },
  'house-network-fee': { side: 'debit', floor: 'posted' },
  'house-clearing': { side: 'credit', floor: 'none' },
};

const isOneOf = <T extends string>(text: string, words: readonly T[]): text is T =>
  words.some((word) => word === text);

/** @throws LEDGER_ACCOUNT_PATH_INVALID */
export function accountKind(path: string): AccountKind {
  const [first = '', second = '', third = '', ...rest] = path.split(':');
  if (rest.length === 0) {
    if (first === 'customer' && isId('acc', second) && isOneOf(third, ['main', 'spot', 'provisional']))
      return `customer-${third}`;
    if (
      first === 'chain' &&
      isId('wal', third) &&
      isOneOf(second, ['pending', 'deposit', 'hot', 'warm', 'cold'])
    )
      return `chain-${second}`;
    if (first === 'suspense' && isId('wal', second) && third === '') return 'suspense';
    if (path === houseSuspense) return 'suspense';
    if (path === houseEquity) return 'house-equity';
    if (path === houseIncome) return 'house-income';
    if (path === houseNetworkFee) return 'house-network-fee';
    if (path === houseClearing) return 'house-clearing';
  }
  throw fail('LEDGER_ACCOUNT_PATH_INVALID', `"${path.slice(0, 120)}" is not the path of a ledger account`);
}

/** @throws LEDGER_ACCOUNT_PATH_INVALID */
export function accountPath(text: string): AccountPath {
  accountKind(text);
  return text as AccountPath;
}
