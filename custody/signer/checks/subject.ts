/**
 * What the checks judge: everything here is computed by this co-signer from the bytes, its own share and its own pinned
 * documents. Nothing is taken from the message that can be computed.
 */
import { keccak_256 } from '@noble/hashes/sha3.js';
import { hexToBytes } from '@noble/hashes/utils.js';
import { hashJson, type Sha256 } from '#core/canonical-json';
import { type CheckName, hotPath, type SignRequest } from '#custody/protocol';
import type { Decision, Intent, SignedIntent } from '#policies/contract';
import type { WalletConfig } from '../config.ts';
import { type AddressAtPath, checksumAddress } from '../decode/address.ts';
import { decodeEip1559, type ForbiddenOperation } from '../decode/eip1559.ts';
import type { ShareFacts } from '../ports.ts';

/** What the unsigned bytes would do on the chain. */
export interface Effect {
  /** CAIP-2, from the bytes and not from the request. */
  readonly chain: string;
  /** The chain's own asset (CAIP-19, SLIP-44 coin type 60): the only one a plain transfer moves. */
  readonly asset: string;
  /** EIP-55. */
  readonly to: string;
  /** Wei. */
  readonly units: bigint;
  /** Most that can be paid for gas: gasLimit x maxFeePerGas, wei. */
  readonly feeUnits: bigint;
  readonly nonce: bigint;
  readonly forbidden: readonly ForbiddenOperation[];
}

export interface Subject {
  readonly request: SignRequest;
  readonly requestHash: Sha256;
  readonly nowMs: number;
  readonly effect: Effect;
  /** Keccak-256 of the unsigned bytes: what would be signed. */
  readonly digest: Uint8Array;
  readonly wallet: WalletConfig;
  readonly facts: ShareFacts;
  /** Address of the child key at the request's path. */
  readonly sender: string;
  /** The wallet's own hot address, `m/1/0`. */
  readonly ownHot: string;
  readonly signed: SignedIntent;
  readonly intent: Intent;
  readonly intentHash: Sha256;
  /** The exclusive resource: (chain id, sender, nonce). */
  readonly conflictSet: string;
  /** This intent was signed under this very conflict set before. */
  readonly recorded: boolean;
  /** Own evaluation of the effect under the pinned policy. */
  readonly decision: Decision;
}

export interface Refused {
  readonly check: CheckName;
  readonly reason: string;
  readonly message: string;
}
export const refused = (check: CheckName, reason: string, message: string): Refused => ({
  check,
  reason,
  message,
});
export const isRefused = (value: object): value is Refused => 'check' in value && 'reason' in value;

/** What the builder needs to know of this co-signer. */
export interface SubjectSources {
  readonly party: number;
  readonly wallets: readonly WalletConfig[];
  readonly activeEpoch: (wallet: string) => number | undefined;
  readonly facts: (wallet: string, epoch: number) => ShareFacts | undefined;
  readonly addressAtPath: AddressAtPath;
  readonly isRecorded: (intentId: string, intentHash: Sha256, conflictSet: string) => boolean;
  readonly evaluate: (intent: Intent, wallet: WalletConfig, effect: Effect, ownHot: string) => Decision;
}

/** The effect of the bytes, or why this co-signer cannot tell. */
function readEffect(unsigned: string): Effect | Refused {
  const decoded = decodeEip1559(hexToBytes(unsigned));
  if (!decoded.ok) return refused('decode', decoded.reason, decoded.message);
  const { transaction, forbidden } = decoded;
  const chain = `eip155:${transaction.chainId.toString()}`;
  return {
    chain,
    asset: `${chain}/slip44:60`,
    to: checksumAddress(transaction.to),
    units: transaction.value,
    feeUnits: transaction.gasLimit * transaction.maxFeePerGas,
    nonce: transaction.nonce,
    forbidden,
  };
}

interface KeyMaterial {
  readonly wallet: WalletConfig;
  readonly facts: ShareFacts;
  readonly sender: string;
  readonly ownHot: string;
}

/** Without these no address can be computed, so no later check could judge anything. */
function readKeyMaterial(request: SignRequest, sources: SubjectSources): KeyMaterial | Refused {
  const wallet = sources.wallets.find((candidate) => candidate.id === request.wallet);
  if (wallet === undefined)
    return refused(
      'digest',
      'wallet-unknown',
      `wallet ${request.wallet} is not in this co-signer's configuration`,
    );
  const epoch = sources.activeEpoch(wallet.id);
  const facts = epoch === request.epoch ? sources.facts(wallet.id, epoch) : undefined;
  if (facts === undefined)
    return refused(
      'digest',
      'epoch-mismatch',
      `epoch ${request.epoch} of ${wallet.id} is not the active one here`,
    );
  const sender = sources.addressAtPath(facts.publicKey, facts.chainCode, request.path);
  const ownHot = sources.addressAtPath(facts.publicKey, facts.chainCode, hotPath);
  if (sender === undefined || ownHot === undefined)
    return refused('digest', 'path-not-allowed', `${request.path} is not a canonical non-hardened path`);
  const { participants } = request;
  const ascending = participants.every((party, i) => i === 0 || party > (participants[i - 1] ?? 0));
  const known = participants.every((party) => party <= facts.parties);
  if (
    !ascending ||
    !known ||
    participants.length !== facts.threshold ||
    !participants.includes(sources.party)
  )
    return refused(
      'digest',
      'participants-invalid',
      `the participants must be ${facts.threshold} of ${facts.parties} parties in ascending order, this one included`,
    );
  return { wallet, facts, sender, ownHot };
}

/** Rebuilds the subject of a request whose form is right, or says why nothing can be judged. */
export function buildSubject(
  request: SignRequest,
  sources: SubjectSources,
  nowMs: number,
): Subject | Refused {
  const effect = readEffect(request.unsigned);
  if (isRefused(effect)) return effect;
  const key = readKeyMaterial(request, sources);
  if (isRefused(key)) return key;
  const [signed, ...others] = request.intents;
  if (signed === undefined || others.length > 0)
    return refused('intent', 'intents-not-one', 'a transfer of ether carries out exactly one intent');
  const { intent } = signed;
  const intentHash = hashJson(intent);
  const conflictSet = `${effect.chain}:${key.sender}:${effect.nonce.toString()}`;
  return {
    request,
    requestHash: hashJson(request),
    nowMs,
    effect,
    digest: keccak_256(hexToBytes(request.unsigned)),
    ...key,
    signed,
    intent,
    intentHash,
    conflictSet,
    recorded: sources.isRecorded(intent.id, intentHash, conflictSet),
    decision: sources.evaluate(intent, key.wallet, effect, key.ownHot),
  };
}
