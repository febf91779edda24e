/** What every operation works with: the facades of the other modules, the documents in force, and settings. */

import type { Chains } from '#chains';
import { chainErrors } from '#chains/contract';
import type { Sha256 } from '#core/canonical-json';
import { errorsOf } from '#core/errors';
import type { Id } from '#core/ids';
import { type AssetId, assetId, type ChainId, chainOf } from '#core/money';
import type { Clock, Random } from '#core/ports';
import type { Pool } from '#infra/db';
import type { HeadCheck, HeadExport, Ledger } from '#ledger';
import type { Policy, Roster, Tier } from '#policies/contract';
import type { CustodyPort } from './ports.ts';

const fail = errorsOf(chainErrors);

export interface WalletSettings {
  readonly id: Id<'wal'>;
  readonly vault: string;
  readonly tier: Tier;
  readonly chain: ChainId;
}
/** Who signs intents here: a service of the roster with its key. */
export interface IntentSigner {
  readonly serviceId: string;
  readonly keyId: string;
  /** Ed25519 seed, 32 bytes. */
  readonly secretKey: Uint8Array;
}
export interface ChainSettings {
  readonly chain: ChainId;
  /** Most a withdrawal's intent lets the network take, base units of the chain's own asset. */
  readonly feeCapUnits: bigint;
  /** Most a sweep's intent lets the network take. */
  readonly sweepFeeCapUnits: bigint;
  /** A deposit address is swept when at least this much would arrive. */
  readonly sweepMinUnits: bigint;
  /** A break of reconciliation with more at stake stops payments; base units of the asset it is about. */
  readonly breakBoundUnits: bigint;
}
export interface OperationsDeps {
  readonly pool: Pool;
  readonly ledger: Ledger;
  readonly chains: Chains;
  readonly custody: CustodyPort;
  readonly wallets: readonly WalletSettings[];
  /** Those that live on our books only. */
  readonly ledgerAssets: readonly AssetId[];
  readonly chainSettings: readonly ChainSettings[];
  readonly policy: Policy;
  readonly policyHash: Sha256;
  readonly roster: Roster;
  readonly rosterHash: Sha256;
  readonly clock: Clock;
  readonly random: Random;
  /** Signs customers' withdrawals (api) or sweeps (worker); absent where a process starts neither. */
  readonly withdrawalSigner?: IntentSigner;
  readonly sweepSigner?: IntentSigner;
  /** Signs the ledger's newest head and hands it to its witnesses; absent where a process has not the ledger's key. */
  readonly exportHead?: () => Promise<HeadExport>;
  /** Holds what its witnesses have against the ledger, the newest heads or all there ever were; absent likewise. */
  readonly verifyHeads?: (which: 'newest' | 'all') => Promise<HeadCheck>;
  /** How long an intent may wait for people and for the chain before it expires. */
  readonly intentLifetimeMs: number;
}

/** @throws CHAINS_ASSET_UNKNOWN */
export function walletFor(deps: OperationsDeps, asset: AssetId): WalletSettings {
  const wallet = deps.wallets.find((each) => each.tier === 'hot' && each.chain === chainOf(asset));
  if (wallet === undefined || !deps.chains.adapter(wallet.chain).assets.includes(asset))
    throw fail('CHAINS_ASSET_UNKNOWN', `no configured chain carries ${asset}`, { asset });
  return wallet;
}

/** @throws CHAINS_ASSET_UNKNOWN */
export function walletById(deps: OperationsDeps, id: string): WalletSettings {
  const wallet = deps.wallets.find((each) => each.id === id);
  if (wallet === undefined) throw fail('CHAINS_ASSET_UNKNOWN', `no configured wallet ${id}`, { wallet: id });
  return wallet;
}

/** @throws CHAINS_ASSET_UNKNOWN */
export function settingsOf(deps: OperationsDeps, chain: string): ChainSettings {
  const settings = deps.chainSettings.find((each) => each.chain === chain);
  if (settings === undefined) throw fail('CHAINS_ASSET_UNKNOWN', `no configured chain ${chain}`, { chain });
  return settings;
}

/** All assets the configured chains carry, and those of our books. */
export function knownAssets(deps: OperationsDeps): readonly AssetId[] {
  const chains = new Set(deps.wallets.map((wallet) => wallet.chain));
  const carried = [...chains].flatMap((chain) =>
    deps.chains.adapter(chain).assets.map((asset) => assetId(asset)),
  );
  return [...carried, ...deps.ledgerAssets];
}
