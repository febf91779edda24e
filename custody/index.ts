/**
 * Wallets and their addresses for worker and api. The database holds what the co-signers stated and which addresses were
 * given out; what is believed is verified here against the committee file, each time a process loads it.
 */
import { errorsOf, invariant } from '#core/errors';
import { parseId } from '#core/ids';
import { type CommitteeFile, custodyErrors, depositPathPattern } from '#custody/protocol';
import type { Pool, Queryable } from '#infra/db';
import {
  type Coordinator,
  type Custody,
  depositPathOf,
  hotPath,
  type OwnAddress,
  type SignOrder,
  type SignResult,
  type WalletRoot,
  type WalletSpec,
} from './contract.ts';
import { type CoordinatorOptions, createCoordinator } from './coordinator/index.ts';
import { type AddressOfPublicKey, childPublicKey, verifyStatements } from './statements.ts';
import {
  type AddressRow,
  drawDepositIndex,
  readAcknowledgements,
  readAddresses,
  readAddressesOf,
  readAddressPage,
  readDepositAddress,
  readStatements,
  readWallet,
  readWallets,
  saveAcknowledgements,
  saveAddress,
  saveStatements,
  saveWallet,
} from './wallet-store.ts';

export { createCoordinator } from './coordinator/index.ts';
export { createHeadWitnesses } from './coordinator/ledger-heads.ts';
export { childPublicKey, verifyAddress, verifyStatements } from './statements.ts';

const fail = errorsOf(custodyErrors);
/** Recomputed addresses kept in memory; a BIP32 derivation takes about a millisecond. */
const derivedMax = 100_000;

export interface CustodyOptions {
  readonly pool: Pool;
  readonly committee: CommitteeFile;
  /** Whether development wallets are accepted. */
  readonly dev: boolean;
  /** How a chain writes the address of a key: the chain adapter's `addressOfPublicKey`. */
  readonly addressOfPublicKey: (chain: string) => AddressOfPublicKey;
  /** Only the worker brings co-signers together; absent elsewhere. */
  readonly signing?: Pick<CoordinatorOptions, 'log' | 'clock' | 'random' | 'transport'>;
}

class WalletCustody implements Custody {
  readonly #options: CustodyOptions;
  readonly #joined: Coordinator | undefined;
  readonly #roots = new Map<string, WalletRoot>();
  readonly #derived = new Map<string, string>();

  constructor(options: CustodyOptions) {
    this.#options = options;
    const { pool, committee, dev, signing } = options;
    this.#joined =
      signing === undefined
        ? undefined
        : createCoordinator({
            ...signing,
            committee,
            dev,
            // From the database, so that two co-signers are enough to sign.
            rootOf: async (wallet) => await this.walletRoot(wallet),
            keepAcknowledgements: async (wallet, acks) => {
              await saveAcknowledgements(pool, wallet, acks);
            },
          });
  }

  async ensureWallet(wallet: WalletSpec): Promise<WalletRoot> {
    const { pool } = this.#options;
    await saveWallet(pool, wallet);
    const known = await this.#wallet(wallet.id);
    invariant(
      known.vault === wallet.vault && known.tier === wallet.tier && known.chain === wallet.chain,
      'a wallet keeps its vault, tier and chain',
      { wallet: wallet.id },
    );
    if ((await readStatements(pool, wallet.id)).length === 0) await this.#makeKey(wallet.id);
    const root = await this.walletRoot(wallet.id);
    await saveAddress(pool, {
      wallet_id: parseId('wal', wallet.id),
      chain: wallet.chain,
      address: await this.deriveAddress(wallet.id, hotPath),
      epoch: root.epoch,
      path: hotPath,
      account_id: null,
    });
    return root;
  }

  /** Statements of all co-signers into the database, by whatever is missing on the way there. */
  async #makeKey(wallet: string): Promise<void> {
    const { pool, committee, dev } = this.#options;
    const coordinator = this.#coordinator();
    const acks = await readAcknowledgements(pool, wallet);
    const statements = acks === undefined ? await coordinator.dkg(wallet) : await coordinator.activate(acks);
    const root = verifyStatements(wallet, statements, { committee, dev });
    await saveStatements(pool, root.statements);
  }

  #coordinator(): Coordinator {
    if (this.#joined === undefined)
      throw fail('CUSTODY_SIGNER_UNREACHABLE', 'this process does not talk to the co-signers');
    return this.#joined;
  }

  async #wallet(id: string): Promise<WalletSpec> {
    const wallet = await readWallet(this.#options.pool, id);
    if (wallet === undefined)
      throw fail('CUSTODY_WALLET_UNKNOWN', `there is no wallet ${id}`, { wallet: id });
    return wallet;
  }

  async wallets(): Promise<readonly WalletSpec[]> {
    return await readWallets(this.#options.pool);
  }

  async walletRoot(walletId: string): Promise<WalletRoot> {
    const known = this.#roots.get(walletId);
    if (known !== undefined) return known;
    const statements = await readStatements(this.#options.pool, walletId);
    if (statements.length === 0)
      throw fail('CUSTODY_WALLET_UNKNOWN', `the key ceremony of ${walletId} is not finished`, {
        wallet: walletId,
      });
    const root = verifyStatements(walletId, statements, this.#options);
    this.#roots.set(walletId, root);
    return root;
  }

  async deriveAddress(walletId: string, path: string): Promise<string> {
    const { chain } = await this.#wallet(walletId);
    return await this.#derive(walletId, chain, path);
  }

  async #derive(walletId: string, chain: string, path: string): Promise<string> {
    const name = `${walletId}/${chain}/${path}`;
    const known = this.#derived.get(name);
    if (known !== undefined) return known;
    const root = await this.walletRoot(walletId);
    const address = this.#options.addressOfPublicKey(chain)(childPublicKey(root, path));
    if (this.#derived.size >= derivedMax) this.#derived.clear();
    this.#derived.set(name, address);
    return address;
  }

  /** A row is believed only where the root says the same, and only at a path that the co-signers sign for. */
  async #verified(row: AddressRow): Promise<OwnAddress> {
    const { wallet_id: walletId, chain, path, account_id: accountId } = row;
    if (accountId === null ? path !== hotPath : !depositPathPattern.test(path))
      throw fail('CUSTODY_STATEMENT_INVALID', `the database has an address of ${walletId} at ${path}`, {
        wallet: walletId,
        path,
      });
    const address = await this.#derive(walletId, chain, path);
    if (address !== row.address)
      throw fail('CUSTODY_STATEMENT_INVALID', `the database has another address at ${path} of ${walletId}`, {
        wallet: walletId,
        path,
        address,
        recorded: row.address,
      });
    return { walletId, chain, address, path, ...(accountId === null ? {} : { accountId }) };
  }

  async newDepositAddress(
    options: Parameters<Custody['newDepositAddress']>[0],
    db: Queryable = this.#options.pool,
  ): Promise<OwnAddress> {
    const walletId = parseId('wal', options.walletId);
    const accountId = parseId('acc', options.accountId);
    const known = await readDepositAddress(db, walletId, accountId);
    if (known !== undefined) return await this.#verified(known);
    const { chain } = await this.#wallet(walletId);
    const { epoch } = await this.walletRoot(walletId);
    const path = depositPathOf(await drawDepositIndex(db));
    const address = await this.#derive(walletId, chain, path);
    await saveAddress(db, { wallet_id: walletId, chain, address, epoch, path, account_id: accountId });
    // Another caller may have been first; its index is the account's, and ours is never used.
    const saved = await readDepositAddress(db, walletId, accountId);
    invariant(saved !== undefined, 'a deposit address was stored and is not there', {
      wallet: walletId,
      path,
    });
    return await this.#verified(saved);
  }

  async hotAddress(walletId: Parameters<Custody['hotAddress']>[0]): Promise<OwnAddress> {
    const { chain } = await this.#wallet(walletId);
    return { walletId, chain, path: hotPath, address: await this.#derive(walletId, chain, hotPath) };
  }

  async findAddresses(
    chain: string,
    addresses: readonly string[],
    db: Queryable = this.#options.pool,
  ): Promise<readonly OwnAddress[]> {
    if (addresses.length === 0) return [];
    const rows = await readAddresses(db, chain, addresses);
    return await Promise.all(rows.map(async (row) => await this.#verified(row)));
  }

  async addressesOf(walletId: string, db: Queryable = this.#options.pool): Promise<readonly OwnAddress[]> {
    const rows = await readAddressesOf(db, walletId);
    return await Promise.all(rows.map(async (row) => await this.#verified(row)));
  }

  async addressPage(
    options: Parameters<Custody['addressPage']>[0],
    db: Queryable = this.#options.pool,
  ): Promise<readonly OwnAddress[]> {
    const rows = await readAddressPage(db, options.walletId, options);
    return await Promise.all(rows.map(async (row) => await this.#verified(row)));
  }

  async sign(order: SignOrder): Promise<SignResult> {
    return await this.#coordinator().sign(order);
  }

  close(): void {
    this.#joined?.close();
  }
}

export function createCustody(options: CustodyOptions): Custody {
  return new WalletCustody(options);
}
