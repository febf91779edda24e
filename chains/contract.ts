/**
 * What a chain adapter offers. Adapters observe and build; they never decide. Pure: types, limits and error codes.
 * Capabilities are data, so that nobody outside writes `if (chain === ...)`.
 */
import type { ErrorCatalogue } from '#core/errors';
import type { AssetId, ChainId } from '#core/money';

export interface ChainCapabilities {
  readonly model: 'account' | 'utxo';
  readonly signatureScheme: 'ecdsa-secp256k1' | 'eddsa-ed25519';
  readonly hdPublicDerivation: boolean;
  readonly replace: 'nonce' | 'rbf' | 'expire';
  readonly finality: { readonly kind: 'tag' } | { readonly kind: 'depth'; readonly depth: number };
}

/** Heights and block times are counts and instants, not amounts: safe integers. */
export interface BlockRef {
  readonly height: number;
  /** Lower-case 0x-hex (EVM). */
  readonly hash: string;
  readonly parentHash: string;
  readonly timeMs: number;
}

/** One movement of value seen in a block. Identity = (chain, txId, index); index 0 is the transaction's own value. */
export interface ChainTransfer {
  readonly chain: ChainId;
  readonly txId: string;
  readonly index: number;
  readonly asset: AssetId;
  /** Canonical addresses (EIP-55 for EVM). */
  readonly from: string;
  readonly to: string;
  readonly units: bigint;
}
/** What one mined transaction did; also reverted ones, since they paid gas. */
export interface MinedTransaction {
  readonly txId: string;
  readonly from: string;
  readonly nonce: number;
  readonly succeeded: boolean;
  readonly feeUnits: bigint;
  readonly transfers: readonly ChainTransfer[];
}
export interface Block extends BlockRef {
  readonly transactions: readonly MinedTransaction[];
}

/** What the follower found next to our recorded chain. Reading only; the caller records it in one transaction. */
export type FollowStep =
  | { readonly kind: 'idle'; readonly head: BlockRef; readonly finalizedHeight: number }
  | { readonly kind: 'extend'; readonly block: Block; readonly finalizedHeight: number }
  | {
      readonly kind: 'rollback';
      /** The newest recorded block that is still on the node's chain. */
      readonly ancestor: BlockRef;
      readonly orphaned: readonly BlockRef[];
      /** True when a block that was recorded as final left the chain: halt, open a case. */
      readonly belowFinal: boolean;
    };

export interface FeeQuote {
  readonly gasLimit: bigint;
  /** Wei per gas. */
  readonly maxFeePerGas: bigint;
  readonly maxPriorityFeePerGas: bigint;
  /** gasLimit x maxFeePerGas, wei: never above the cap it was quoted under. */
  readonly maxCostUnits: bigint;
}

/** The exclusive resource of an intent: on EVM (chain id, sender, nonce). */
export interface ConflictSet {
  readonly chain: ChainId;
  readonly sender: string;
  readonly nonce: number;
}

export interface UnsignedTransaction {
  readonly chain: ChainId;
  /** Lower-case hex without 0x: `02 || rlp(...)`. */
  readonly unsigned: string;
  readonly sender: string;
  readonly nonce: number;
  readonly to: string;
  readonly units: bigint;
  readonly fee: FeeQuote;
}
export interface SignedTransaction {
  readonly txId: string;
  /** Raw signed bytes, lower-case hex without 0x. */
  readonly raw: string;
  readonly sender: string;
}
export interface TransactionSignature {
  /** r || s, 64 bytes hex, low s. */
  readonly compact: string;
  readonly recoveryId: 0 | 1;
}

/**
 * `accepted`: the node holds these bytes. `maybe`: nobody knows (timeout, lost answer, "nonce too low"): keep every
 * reservation and track. `rejected`: the node said why these bytes can never be mined as they are.
 */
export type BroadcastOutcome = {
  readonly outcome: 'accepted' | 'maybe' | 'rejected';
  readonly detail: string;
};

/** What the chain says about a conflict set, probed by nonce and then by every hash ever signed for it. */
export type TrackOutcome =
  /** Held by the node, or, with nothing known, not to be said now (a reorg under way): ask again. */
  | { readonly state: 'pending'; readonly known: readonly string[] }
  /** Neither mined nor held by the node: send the stored bytes again. */
  | { readonly state: 'lost' }
  | {
      readonly state: 'mined';
      readonly txId: string;
      readonly block: BlockRef;
      readonly succeeded: boolean;
      readonly feeUnits: bigint;
      readonly final: boolean;
    }
  /** The nonce was used by a transaction we never signed: invariant, halt. */
  | { readonly state: 'foreign'; readonly detail: string };

export interface ChainAdapter {
  readonly chain: ChainId;
  readonly nativeAsset: AssetId;
  readonly assets: readonly AssetId[];
  readonly capabilities: ChainCapabilities;
  /** @throws CHAINS_ADDRESS_INVALID with the reason (length, alphabet, checksum, zero); returns the canonical form */
  parseAddress(text: string): string;
  /** Canonical address of a compressed secp256k1 public key. */
  addressOfPublicKey(publicKey: Uint8Array): string;
  /** Decimals of an asset, for display only. */
  decimalsOf(asset: AssetId): number;
  head(): Promise<BlockRef>;
  finalizedHeight(): Promise<number>;
  /** The block by hash with all its native transfers; undefined when the node does not have it. */
  block(hash: string): Promise<Block | undefined>;
  blockRefAt(height: number): Promise<BlockRef | undefined>;
  balanceAt(address: string, height: number): Promise<bigint>;
  /** @throws CHAINS_FEE_ABOVE_CAP when even the lowest workable fee costs more than the cap */
  quoteFee(options: { capUnits: bigint }): Promise<FeeQuote>;
  /** Both fees +12.5 % and at least the market's; @throws CHAINS_FEE_ABOVE_CAP */
  bumpFee(previous: FeeQuote, options: { capUnits: bigint }): Promise<FeeQuote>;
  buildTransfer(options: {
    conflictSet: ConflictSet;
    to: string;
    units: bigint;
    fee: FeeQuote;
  }): UnsignedTransaction;
  /** Attaches and verifies: recovered sender and decoded content equal the unsigned one. @throws CHAINS_SIGNATURE_INVALID */
  attach(unsigned: UnsignedTransaction, signature: TransactionSignature): SignedTransaction;
  broadcast(signed: SignedTransaction): Promise<BroadcastOutcome>;
  track(conflictSet: ConflictSet, txIds: readonly string[]): Promise<TrackOutcome>;
  /** Next nonce by the chain's own count, a floor for our counter; at the height, or now. */
  minedNonce(address: string, height?: number): Promise<number>;
}

/** EIP-1559 minimum bump: geth asks +10 % on both fees, other pools 12.5 %. */
export const bumpNumerator = 1125n;
export const bumpDenominator = 1000n;
/** Blocks kept for reorg checks; the reference asks for max(2 x finality, 256). */
export const recordedBlocksMax = 1024;

export const chainErrors = {
  CHAINS_ADDRESS_INVALID: {
    kind: 'invalid',
    why: 'The text is not an address of this chain, or its checksum is wrong.',
    whatToDo: 'Copy the address again; a mixed-case Ethereum address must match its EIP-55 checksum.',
  },
  CHAINS_ASSET_UNKNOWN: {
    kind: 'not_found',
    why: 'No configured chain carries this asset.',
    whatToDo: 'Use one of the asset ids the API lists, or configure the chain.',
  },
  CHAINS_UNKNOWN: {
    kind: 'not_found',
    why: 'The chain is not configured, configured twice, or not of a family this version knows.',
    whatToDo: 'Use a chain id of the configuration, in CAIP-2 form (eip155:1).',
  },
  CHAINS_NODE_UNAVAILABLE: {
    kind: 'unavailable',
    why: 'The chain node did not answer, or answered with an error.',
    whatToDo: 'Check the node at the named URL; the call is repeated.',
    retryable: true,
  },
  CHAINS_NODE_WRONG_CHAIN: {
    kind: 'invariant',
    why: 'The node is on another chain than the configuration says.',
    whatToDo: 'Point the configuration at the right node; nothing was read or sent.',
  },
  CHAINS_NODE_INCONSISTENT: {
    kind: 'unavailable',
    why: 'Two answers of the node contradict each other (a block without its receipts, a parent that does not fit).',
    whatToDo: 'It is read again; if it stays, take the node out of service.',
    retryable: true,
  },
  CHAINS_FEE_ABOVE_CAP: {
    kind: 'limited',
    why: 'The network asks for a higher fee than the intent allows.',
    whatToDo: 'Wait for a lower fee or ask with a new intent that has a higher cap.',
    retryable: true,
  },
  CHAINS_SIGNATURE_INVALID: {
    kind: 'invariant',
    why: 'A finished signature does not belong to the transaction or the expected sender.',
    whatToDo: "Nothing was sent. Look at the co-signers' logs before signing with this wallet again.",
  },
  CHAINS_CONFLICT_SET_TAKEN: {
    kind: 'conflict',
    why: 'The nonce is already reserved for another intent.',
    whatToDo:
      'Nothing to do: the next nonce is taken. If it repeats, look for a second writer of this address.',
  },
  CHAINS_ATTEMPT_CONFLICT: {
    kind: 'conflict',
    why: 'An attempt id was used again for other bytes, or the same bytes under another id.',
    whatToDo: 'Read the stored attempts of the intent and go on with those.',
  },
  CHAINS_CURSOR_MOVED: {
    kind: 'conflict',
    why: 'A step of the chain was read beside a cursor that has moved since.',
    whatToDo: 'Nothing to do: the next step is read from the new cursor.',
    retryable: true,
  },
  CHAINS_HALTED: {
    kind: 'unavailable',
    why: 'The chain is halted: a final block was reorganised, or its nodes contradict our books.',
    whatToDo: 'Work on the open case of this chain; a person lifts the halt.',
  },
} as const satisfies ErrorCatalogue;
