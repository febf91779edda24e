/** The chains facade: adapters by chain and asset, following, and the records of what was read and sent. */
import { errorsOf } from '#core/errors';
import { type AssetId, type ChainId, chainId } from '#core/money';
import type { Queryable, Tx } from '#infra/db';
import { type ChainAdapter, chainErrors, type FollowStep } from './contract.ts';
import { createEthereumAdapter, type EthereumAdapter, type EthereumFinality } from './ethereum/adapter.ts';
import { nextStep, type StartHeight } from './follower.ts';
import { type RecordedStep, recordStep } from './store/blocks.ts';
import { assertNotHalted } from './store/halts.ts';

export { addressOfCompressedKey, parseEthereumAddress } from './ethereum/address.ts';
export { readSignedTransaction, type SignedContent } from './ethereum/signed.ts';
export {
  type Attempt,
  type AttemptId,
  attempt,
  attemptsOf,
  isCancel,
  markBroadcast,
  saveBuilt,
  saveSigned,
} from './store/attempts.ts';
export {
  blockRecordedAt,
  type Cursor,
  cursorOf,
  finalise,
  type RecordedStep,
  recordStep,
} from './store/blocks.ts';
export { haltScopeOf } from './store/halts.ts';
export {
  type MinedOutcome,
  type Outgoing,
  type OutgoingState,
  openOutgoings,
  outgoingOf,
  outgoingOfTransaction,
  type Reservation,
  recordDead,
  recordFinal,
  recordMined,
  releaseConflictSet,
  reserveConflictSet,
  unmine,
} from './store/outgoing.ts';
export { outgoingPage } from './store/outgoing-pages.ts';

const fail = errorsOf(chainErrors);

export interface ChainConfig {
  /** Name of the adapter family; also names workflows and task queues. */
  readonly name: 'ethereum';
  /** CAIP-2 id, for example eip155:31337. */
  readonly chain: string;
  readonly url: string;
  readonly startHeight: StartHeight;
  readonly finality: EthereumFinality;
  /** Of one request to the node. */
  readonly timeoutMs?: number;
}

export interface Chains {
  readonly list: readonly ChainAdapter[];
  /** @throws CHAINS_UNKNOWN */
  adapter(chain: ChainId): ChainAdapter;
  /** @throws CHAINS_ASSET_UNKNOWN */
  adapterForAsset(asset: AssetId): ChainAdapter;
  /** To be called at start. @throws CHAINS_NODE_WRONG_CHAIN, CHAINS_NODE_UNAVAILABLE */
  check(): Promise<void>;
  /**
   * What the node shows next to the recorded chain; reads only.
   * @throws CHAINS_HALTED, CHAINS_NODE_UNAVAILABLE, CHAINS_NODE_INCONSISTENT
   */
  nextStep(chain: ChainId, db: Queryable): Promise<FollowStep>;
  /** Records a step in the caller's transaction. @throws CHAINS_CURSOR_MOVED */
  recordStep(tx: Tx, chain: ChainId, step: FollowStep): Promise<RecordedStep>;
  close(): void;
}

interface Configured {
  readonly adapter: EthereumAdapter;
  readonly startHeight: StartHeight;
}

/** Opens no connection yet; {@link Chains.check} does. */
export function createChains(options: { readonly configs: readonly ChainConfig[] }): Chains {
  const byChain = new Map<ChainId, Configured>();
  for (const config of options.configs) {
    const chain = chainId(config.chain);
    if (byChain.has(chain)) throw fail('CHAINS_UNKNOWN', `${chain} is configured twice`, { chain });
    byChain.set(chain, { adapter: createEthereumAdapter(config), startHeight: config.startHeight });
  }
  const configured = (chain: ChainId): Configured => {
    const found = byChain.get(chain);
    if (found === undefined) throw fail('CHAINS_UNKNOWN', `${chain} is not configured`, { chain });
    return found;
  };
  const list = Object.freeze([...byChain.values()].map(({ adapter }) => adapter));
  return {
    list,
    adapter: (chain) => configured(chain).adapter,
    adapterForAsset: (asset) => {
      const found = list.find(({ assets }) => assets.includes(asset));
      if (found === undefined)
        throw fail('CHAINS_ASSET_UNKNOWN', `no configured chain carries ${asset}`, { asset });
      return found;
    },
    check: async () => {
      await Promise.all([...byChain.values()].map(async ({ adapter }) => await adapter.check()));
    },
    nextStep: async (chain, db) => {
      const { adapter, startHeight } = configured(chain);
      await assertNotHalted(db, chain);
      return await nextStep(db, adapter, startHeight);
    },
    recordStep,
    close: () => {
      for (const { adapter } of byChain.values()) adapter.close();
    },
  };
}
