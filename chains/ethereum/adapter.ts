/** The Ethereum adapter: ether on one EVM chain over one node. It observes and builds; it never decides. */
import { errorsOf } from '#core/errors';
import { type AssetId, assetId, type ChainId, chainId, chainOf } from '#core/money';
import {
  type Block,
  type BlockRef,
  type ChainAdapter,
  type ChainCapabilities,
  chainErrors,
} from '../contract.ts';
import { addressOfCompressedKey, parseEthereumAddress } from './address.ts';
import { blockRefOf, headerAt, readBlock } from './blocks.ts';
import { broadcastSigned } from './broadcast.ts';
import { bump, quote, readMarket } from './fees.ts';
import { type EthereumNode, heightHex, minedCountAt, NodeRefusal, openNode } from './rpc.ts';
import { trackConflictSet } from './tracking.ts';
import { attachSignature, buildUnsigned } from './transaction.ts';
import { quantity } from './wire.ts';

const fail = errorsOf(chainErrors);
/** SLIP-44 coin type of ether. */
const etherReference = 'slip44:60';
const etherDecimals = 18;
/** CAIP-2 namespace of EVM chains; the reference is the EIP-155 chain id. */
const evmChainPattern = /^eip155:([1-9][0-9]{0,17})$/;

/**
 * When a block is final: by the node's `finalized` tag, with a depth for nodes that do not know the tag, or by depth only.
 */
export type EthereumFinality =
  | { readonly kind: 'tag'; readonly fallbackDepth?: number }
  | { readonly kind: 'depth'; readonly depth: number };

export interface EthereumConfig {
  readonly chain: string;
  readonly url: string;
  readonly finality: EthereumFinality;
  readonly timeoutMs?: number;
}

export interface EthereumAdapter extends ChainAdapter {
  /** Checks that the node answers and is on the configured chain. @throws CHAINS_NODE_WRONG_CHAIN, CHAINS_NODE_UNAVAILABLE */
  check(): Promise<void>;
  close(): void;
}

/** CAIP-19 id of ether on an EVM chain. */
const etherOn = (chain: ChainId): AssetId => assetId(`${chain}/${etherReference}`);

function evmChainIdOf(chain: ChainId): bigint {
  const match = evmChainPattern.exec(chain);
  if (match?.[1] === undefined)
    throw fail('CHAINS_UNKNOWN', `${chain} is not an EVM chain (eip155:<chain id>)`, { chain });
  return BigInt(match[1]);
}

/** Wraps what the node refuses in calls that have no outcome of their own. */
async function refusalAsError<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof NodeRefusal)) throw error;
    throw fail(
      'CHAINS_NODE_UNAVAILABLE',
      `the node refused: ${error.message}`,
      { rpcCode: error.rpcCode },
      error,
    );
  }
}

async function headOf(node: EthereumNode): Promise<BlockRef> {
  const header = await headerAt(node, 'latest');
  if (header === undefined) throw fail('CHAINS_NODE_INCONSISTENT', 'the node has no latest block');
  return blockRefOf(header);
}

/** Height 0 is always final. Never above the head that the same node shows. */
async function finalizedHeightOf(node: EthereumNode, finality: EthereumFinality): Promise<number> {
  if (finality.kind === 'depth') return Math.max(0, (await headOf(node)).height - finality.depth);
  try {
    const header = await headerAt(node, 'finalized');
    if (header !== undefined) return header.number;
  } catch (error) {
    if (!(error instanceof NodeRefusal)) throw error;
  }
  // The node does not know the tag, or nothing is final yet.
  if (finality.fallbackDepth === undefined) return 0;
  return Math.max(0, (await headOf(node)).height - finality.fallbackDepth);
}

function capabilitiesOf(finality: EthereumFinality): ChainCapabilities {
  const capabilities: ChainCapabilities = {
    model: 'account',
    signatureScheme: 'ecdsa-secp256k1',
    hdPublicDerivation: true,
    replace: 'nonce',
    finality: finality.kind === 'tag' ? { kind: 'tag' } : { kind: 'depth', depth: finality.depth },
  };
  return Object.freeze(capabilities);
}

/** @throws CHAINS_UNKNOWN when the chain id is not of the EVM family */
export function createEthereumAdapter(config: EthereumConfig): EthereumAdapter {
  const chain = chainId(config.chain);
  const evmChainId = evmChainIdOf(chain);
  const node = openNode({
    url: config.url,
    evmChainId,
    ...(config.timeoutMs === undefined ? {} : { timeoutMs: config.timeoutMs }),
  });
  const nativeAsset = etherOn(chain);
  const finalizedHeight = async (): Promise<number> => await finalizedHeightOf(node, config.finality);
  const requireOwnAsset = (asset: AssetId): void => {
    if (asset !== nativeAsset)
      throw fail('CHAINS_ASSET_UNKNOWN', `${asset} is not carried by ${chain}`, {
        asset,
        chain: chainOf(asset) ?? '',
      });
  };

  return {
    chain,
    nativeAsset,
    assets: Object.freeze([nativeAsset]),
    capabilities: capabilitiesOf(config.finality),
    check: async () => {
      await refusalAsError(async () => await headOf(node));
    },
    close: () => {
      node.close();
    },
    parseAddress: parseEthereumAddress,
    addressOfPublicKey: addressOfCompressedKey,
    decimalsOf: (asset) => {
      requireOwnAsset(asset);
      return etherDecimals;
    },
    head: async () => await refusalAsError(async () => await headOf(node)),
    finalizedHeight: async () => await refusalAsError(finalizedHeight),
    block: async (hash): Promise<Block | undefined> =>
      await refusalAsError(async () => await readBlock(node, { chain, nativeAsset }, hash)),
    blockRefAt: async (height) =>
      await refusalAsError(async () => {
        const header = await headerAt(node, height);
        return header === undefined ? undefined : blockRefOf(header);
      }),
    balanceAt: async (address, height) =>
      await refusalAsError(
        async () => await node.call('eth_getBalance', [address, heightHex(height)], quantity),
      ),
    quoteFee: async ({ capUnits }) =>
      quote(await refusalAsError(async () => await readMarket(node)), capUnits),
    bumpFee: async (previous, { capUnits }) =>
      bump(previous, await refusalAsError(async () => await readMarket(node)), capUnits),
    buildTransfer: (options) => buildUnsigned({ chain, evmChainId, ...options }),
    attach: (unsigned, signature) => attachSignature(unsigned, signature, evmChainId),
    broadcast: async (signed) => await broadcastSigned(node, signed),
    track: async (conflictSet, txIds) =>
      await refusalAsError(async () => await trackConflictSet(node, finalizedHeight, conflictSet, txIds)),
    minedNonce: async (address, height) =>
      await refusalAsError(async () => await minedCountAt(node, address, height ?? 'latest')),
  };
}
