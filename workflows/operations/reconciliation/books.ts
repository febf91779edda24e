/** The books' side of one chain, read in one snapshot: mirrors, records per address, payments, and the height they speak of. */
import { blockRecordedAt, cursorOf } from '#chains';
import type { BlockRef } from '#chains/contract';
import { type AssetId, type ChainId, parseUnits } from '#core/money';
import { inTransaction, type Tx } from '#infra/db';
import {
  type AccountBalance,
  chainCold,
  chainDeposit,
  chainHot,
  chainPending,
  chainWarm,
  type PaymentRecord,
  type Quantity,
  type StrayOutflow,
} from '#ledger/contract';
import type { OperationsDeps, WalletSettings } from '../context.ts';
import type { Progress } from '../progress.ts';
import { mirrorsOf, owedQuantity, unwatchedQuantities } from './mirrors.ts';
import { paymentRecords, strayOutflows } from './payment-records.ts';
import { addressesToCheck, intentsToCheck, type WalletAddresses } from './subjects.ts';

/** What we recorded of one address, up to the final height. */
export interface AddressBooks {
  readonly walletId: string;
  readonly address: string;
  /** Final deposits less sweeps and their fees; of the address the wallet pays from its mirrors. */
  readonly units: bigint;
  /** Transactions it sent. */
  readonly sent: bigint;
}
export interface WalletBooks {
  readonly walletId: string;
  readonly hot: AddressBooks;
  readonly deposit: readonly AddressBooks[];
  /** The mirror of all deposit addresses; null while `deposit` is only a part of them. */
  readonly depositMirror: bigint | null;
}
export interface Books {
  /** Everything up to this block is booked and nothing above it. */
  readonly block: BlockRef;
  readonly wallets: readonly WalletBooks[];
  /** Both sides of these come from the snapshot. */
  readonly quantities: readonly Quantity[];
  readonly payments: readonly PaymentRecord[];
  readonly strays: readonly StrayOutflow[];
  readonly progress: readonly Progress[];
}

const signed = (text: string): bigint =>
  text.startsWith('-') ? -parseUnits(text.slice(1)) : parseUnits(text);

/** A sweep pays its fee in the chain's own asset, from the address it empties. */
const sweptUnits = `CASE WHEN state = 'FINAL' THEN units ELSE 0 END + coalesce(fee_units, 0)`;

async function unitsByPath(
  tx: Tx,
  walletId: string,
  asset: AssetId,
  paths: readonly string[],
): Promise<ReadonlyMap<string, bigint>> {
  const { rows } = await tx.query<{ path: string; units: string }>(
    `SELECT path, sum(units)::text AS units FROM (
       SELECT path, units FROM operations.deposit
        WHERE wallet_id = $1 AND asset = $2 AND state = 'FINAL' AND path = ANY($3)
       UNION ALL SELECT path, -(${sweptUnits}) FROM operations.sweep
        WHERE wallet_id = $1 AND asset = $2 AND path = ANY($3)) AS line
      GROUP BY path`,
    [walletId, asset, paths],
  );
  return new Map(rows.map((row) => [row.path, signed(row.units)]));
}

async function sentByAddress(
  tx: Tx,
  chain: ChainId,
  addresses: readonly string[],
): Promise<ReadonlyMap<string, bigint>> {
  const { rows } = await tx.query<{ sender: string; sent: string }>(
    `SELECT sender, count(*)::text AS sent FROM operations.outflow
      WHERE chain = $1 AND sender = ANY($2) AND state = 'FINAL' GROUP BY sender`,
    [chain, addresses],
  );
  return new Map(rows.map((row) => [row.sender, BigInt(row.sent)]));
}

/** Totals of the wallet by its records: what is final at its deposit addresses, and what is seen and not final. */
async function recordedTotals(
  tx: Tx,
  walletId: string,
  asset: AssetId,
): Promise<{ readonly final: bigint; readonly seen: bigint }> {
  const { rows } = await tx.query<{ final: string; seen: string }>(
    `SELECT (coalesce((SELECT sum(units) FROM operations.deposit
                        WHERE wallet_id = $1 AND asset = $2 AND state = 'FINAL'), 0)
             - coalesce((SELECT sum(${sweptUnits}) FROM operations.sweep
                          WHERE wallet_id = $1 AND asset = $2), 0))::text AS final,
            coalesce((SELECT sum(units) FROM operations.deposit
                       WHERE wallet_id = $1 AND asset = $2 AND state = 'SEEN'), 0)::text AS seen`,
    [walletId, asset],
  );
  const [row = { final: '0', seen: '0' }] = rows;
  return { final: signed(row.final), seen: signed(row.seen) };
}

interface ReadWallet {
  readonly books: WalletBooks;
  readonly quantities: readonly Quantity[];
  readonly progress: Progress;
}

async function readWallet(
  deps: OperationsDeps,
  tx: Tx,
  wallet: WalletSettings,
  mirrors: readonly AccountBalance[],
): Promise<ReadWallet> {
  const { nativeAsset: asset } = deps.chains.adapter(wallet.chain);
  const addresses: WalletAddresses = await addressesToCheck(deps, tx, wallet);
  const mirror = (path: string): bigint => mirrors.find((each) => each.path === path)?.balance ?? 0n;
  const units = await unitsByPath(
    tx,
    wallet.id,
    asset,
    addresses.deposit.map((each) => each.path),
  );
  const sent = await sentByAddress(
    tx,
    wallet.chain,
    [addresses.hot, ...addresses.deposit].map((each) => each.address),
  );
  const totals = await recordedTotals(tx, wallet.id, asset);
  const booksOf = (address: string, booked: bigint): AddressBooks => ({
    walletId: wallet.id,
    address,
    units: booked,
    sent: sent.get(address) ?? 0n,
  });
  const common = { unit: asset, walletId: wallet.id, unposted: 0n, source: 'snapshot' } as const;
  const [pending, deposit] = [chainPending(wallet.id), chainDeposit(wallet.id)];
  // A wallet has one address beside its deposit addresses, so whatever tier its stock is booked under must lie there.
  const stock = [chainHot, chainWarm, chainCold].reduce((sum, path) => sum + mirror(path(wallet.id)), 0n);
  return {
    books: {
      walletId: wallet.id,
      hot: booksOf(addresses.hot.address, stock),
      deposit: addresses.deposit.map((each) => booksOf(each.address, units.get(each.path) ?? 0n)),
      depositMirror: addresses.isComplete ? mirror(deposit) : null,
    },
    quantities: [
      { ...common, check: 'pending', subject: pending, booked: mirror(pending), observed: totals.seen },
      {
        ...common,
        check: 'deposit-records',
        subject: deposit,
        booked: mirror(deposit),
        observed: totals.final,
      },
    ],
    progress: addresses.progress,
  };
}

/** Undefined while the watcher has no final block yet. */
export async function readBooks(deps: OperationsDeps, chain: ChainId): Promise<Books | undefined> {
  const wallets = deps.wallets.filter((wallet) => wallet.chain === chain);
  const { nativeAsset: asset } = deps.chains.adapter(chain);
  return await inTransaction(deps.pool, async (tx) => {
    await tx.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY');
    const cursor = await cursorOf(tx, chain);
    const block = cursor === undefined ? undefined : await blockRecordedAt(tx, chain, cursor.finalizedHeight);
    const first = wallets[0];
    if (block === undefined || first === undefined) return undefined;
    const mirrors = await mirrorsOf(deps, tx, asset);
    const read: ReadWallet[] = [];
    for (const wallet of wallets) read.push(await readWallet(deps, tx, wallet, mirrors));
    const { intentIds, progress } = await intentsToCheck(tx, chain);
    return {
      block,
      wallets: read.map(({ books }) => books),
      quantities: [
        ...read.flatMap(({ quantities }) => quantities),
        ...unwatchedQuantities(asset, mirrors, wallets),
        await owedQuantity(deps, tx, asset, mirrors),
      ],
      payments: await paymentRecords(deps, tx, intentIds, { walletId: first.id, asset }),
      strays: await strayOutflows(tx, chain, asset),
      progress: [...read.map((each) => each.progress), progress],
    };
  });
}
