/**
 * Sending signed bytes, with three outcomes. Why, and why "insufficient funds" is `maybe`: decision 0013.
 */
import { invariant, isStrongroomError, messageOf } from '#core/errors';
import type { BroadcastOutcome, SignedTransaction } from '../contract.ts';
import { type EthereumNode, NodeRefusal } from './rpc.ts';
import { txIdOf } from './transaction.ts';
import { hash } from './wire.ts';

/**
 * The node holds exactly these bytes. "unknown transaction" contains "known transaction", so the latter must stand at the
 * start of a word.
 */
const heldPatterns = [
  /\balready known\b/i, // geth, reth, erigon
  /(?<![a-z])known transaction\b/i, // older geth, besu
  /\balready imported\b/i, // anvil, nethermind-like pools
  /\balready in (?:the )?mempool\b/i,
  /\balreadyknown\b/i, // nethermind
];
/** True of the bytes themselves, whatever the state of the chain: they can never be mined as they are. */
const neverPatterns = [
  /\bintrinsic gas too low\b/i,
  /\bintrinsic gas low\b/i,
  /\binvalid chain ?id\b/i,
  /\bchain ?id (?:mismatch|does not match)\b/i,
  /\binvalid sender\b/i,
  /\binvalid (?:transaction )?signature\b/i,
  /\binvalid transaction v, r, s values\b/i,
  /\bmax priority fee per gas higher than max fee per gas\b/i,
  /\brlp: /i,
  /\bfailed to decode (?:signed )?transaction\b/i,
  /\bmalformed transaction\b/i,
];

const matches = (patterns: readonly RegExp[], text: string): boolean =>
  patterns.some((pattern) => pattern.test(text));

/** What a node's error message means for the bytes. Default `maybe`: keep every reservation and track. */
export function classifyRefusal(message: string): BroadcastOutcome['outcome'] {
  if (matches(heldPatterns, message)) return 'accepted';
  if (matches(neverPatterns, message)) return 'rejected';
  return 'maybe';
}

/** Safe to run again with the same bytes. Never throws for what the node or the network did. */
export async function broadcastSigned(
  node: EthereumNode,
  signed: SignedTransaction,
): Promise<BroadcastOutcome> {
  invariant(txIdOf(signed.raw) === signed.txId, 'the stored bytes have another id than the stored one', {
    txId: signed.txId,
  });
  try {
    const answered = await node.call('eth_sendRawTransaction', [`0x${signed.raw}`], hash);
    return answered === signed.txId
      ? { outcome: 'accepted', detail: 'taken by the node' }
      : { outcome: 'maybe', detail: `the node answered another id, ${answered}` };
  } catch (error) {
    if (error instanceof NodeRefusal)
      return { outcome: classifyRefusal(error.message), detail: error.message };
    if (isStrongroomError(error) && error.kind === 'unavailable')
      return { outcome: 'maybe', detail: messageOf(error) };
    throw error;
  }
}
