/** What operations ask of custody, so that a test can stand a single key behind it. */

import type { Id } from '#core/ids';
import type { SignOrder, SignResult, WalletRoot } from '#custody/contract';
import type { Queryable } from '#infra/db';

export interface OwnAddress {
  readonly walletId: Id<'wal'>;
  /** Canonical form. */
  readonly address: string;
  /** Below the wallet's root: `m/1/0` hot, `m/0/i` a deposit address. */
  readonly path: string;
  /** Absent for the hot address. */
  readonly accountId?: Id<'acc'>;
}
export interface CustodyPort {
  /** The account's deposit address, the same on every call. @throws WALLET_NOT_READY */
  newDepositAddress(options: { walletId: Id<'wal'>; accountId: Id<'acc'> }): Promise<OwnAddress>;
  /** @throws WALLET_NOT_READY */
  hotAddress(walletId: Id<'wal'>): Promise<OwnAddress>;
  /** Those of the addresses that are ours, hot addresses included. */
  findAddresses(chain: string, addresses: readonly string[], db?: Queryable): Promise<readonly OwnAddress[]>;
  /** @throws WALLET_NOT_READY */
  walletRoot(walletId: Id<'wal'>): Promise<WalletRoot>;
  /** @throws CUSTODY_REFUSED, CUSTODY_SIGNER_UNREACHABLE, CUSTODY_SESSION_ABORTED; only the worker has a coordinator */
  sign(order: SignOrder): Promise<SignResult>;
}
