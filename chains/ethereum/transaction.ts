/** Building and finishing type-2 transactions (EIP-1559): pure, no node. */
import { Signature, Transaction } from 'ethers';
import { errorsOf, invariant, messageOf } from '#core/errors';
import type { ChainId } from '#core/money';
import {
  type ConflictSet,
  chainErrors,
  type FeeQuote,
  type SignedTransaction,
  type TransactionSignature,
  type UnsignedTransaction,
} from '../contract.ts';
import { canonicalAddress, parseEthereumAddress } from './address.ts';

const fail = errorsOf(chainErrors);
/** EIP-2 / SEC 1: order of secp256k1, and the largest s that counts as low. */
const curveOrder = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const lowSMax = curveOrder >> 1n;
const feeTransactionType = 2;
const compactPattern = /^[0-9a-f]{128}$/;

export interface TransferRequest {
  readonly chain: ChainId;
  readonly evmChainId: bigint;
  readonly conflictSet: ConflictSet;
  readonly to: string;
  /** Wei; 0 only to the sender itself, which cancels the conflict set. */
  readonly units: bigint;
  readonly fee: FeeQuote;
}

/** `02 || rlp([chainId, nonce, maxPriorityFee, maxFee, gasLimit, to, value, data = '', accessList = []])`. */
export function buildUnsigned(request: TransferRequest): UnsignedTransaction {
  const { chain, conflictSet, fee, units } = request;
  const sender = canonicalAddress(conflictSet.sender);
  const to = parseEthereumAddress(request.to);
  invariant(conflictSet.chain === chain, 'the conflict set belongs to another chain', {
    chain,
    conflictSet: conflictSet.chain,
  });
  invariant(Number.isSafeInteger(conflictSet.nonce) && conflictSet.nonce >= 0, 'a nonce is a whole count');
  invariant(units > 0n || (units === 0n && to === sender), 'only a cancel to itself moves nothing');
  invariant(fee.maxCostUnits === fee.gasLimit * fee.maxFeePerGas, 'the fee quote does not add up');
  const transaction = Transaction.from({
    type: feeTransactionType,
    chainId: request.evmChainId,
    nonce: conflictSet.nonce,
    maxPriorityFeePerGas: fee.maxPriorityFeePerGas,
    maxFeePerGas: fee.maxFeePerGas,
    gasLimit: fee.gasLimit,
    to,
    value: units,
    data: '0x',
    accessList: [],
  });
  return {
    chain,
    unsigned: transaction.unsignedSerialized.slice(2),
    sender,
    nonce: conflictSet.nonce,
    to,
    units,
    fee,
  };
}

function refuse(reason: string, cause?: unknown): never {
  throw fail('CHAINS_SIGNATURE_INVALID', reason, {}, cause);
}

function decode(hex: string): Transaction {
  try {
    return Transaction.from(`0x${hex}`);
  } catch (error) {
    return refuse(`the bytes are no transaction: ${messageOf(error).slice(0, 200)}`, error);
  }
}

function assertContent(transaction: Transaction, expected: UnsignedTransaction, evmChainId: bigint): void {
  const same =
    transaction.type === feeTransactionType &&
    transaction.chainId === evmChainId &&
    transaction.nonce === expected.nonce &&
    transaction.to === canonicalAddress(expected.to) &&
    transaction.value === expected.units &&
    transaction.data === '0x' &&
    (transaction.accessList ?? []).length === 0 &&
    transaction.gasLimit === expected.fee.gasLimit &&
    transaction.maxFeePerGas === expected.fee.maxFeePerGas &&
    transaction.maxPriorityFeePerGas === expected.fee.maxPriorityFeePerGas;
  if (!same) refuse('the bytes say something else than the transaction that was asked for');
}

/**
 * Puts a finished signature on the transaction. ethers takes high-S and out-of-range values in some places, so they are
 * refused here first; then the sender is recovered and everything is decoded again from the final bytes.
 * @throws CHAINS_SIGNATURE_INVALID
 */
export function attachSignature(
  unsigned: UnsignedTransaction,
  signature: TransactionSignature,
  evmChainId: bigint,
): SignedTransaction {
  const transaction = decode(unsigned.unsigned);
  if (transaction.signature !== null) refuse('the bytes already carry a signature');
  assertContent(transaction, unsigned, evmChainId);
  if (!compactPattern.test(signature.compact)) refuse('a signature is 64 bytes of lower-case hex');
  const r = BigInt(`0x${signature.compact.slice(0, 64)}`);
  const s = BigInt(`0x${signature.compact.slice(64)}`);
  if (r === 0n || r >= curveOrder || s === 0n || s >= curveOrder) refuse('r or s is out of range');
  if (s > lowSMax) refuse('s is high; nodes refuse it (EIP-2)');
  try {
    transaction.signature = Signature.from({
      r: `0x${signature.compact.slice(0, 64)}`,
      s: `0x${signature.compact.slice(64)}`,
      yParity: signature.recoveryId,
    });
  } catch (error) {
    refuse(`no public key fits the signature: ${messageOf(error).slice(0, 200)}`, error);
  }
  const raw = transaction.serialized.slice(2);
  const final = decode(raw);
  assertContent(final, unsigned, evmChainId);
  if (final.unsignedSerialized.slice(2) !== unsigned.unsigned) refuse('the signed bytes are other bytes');
  if (final.hash === null) refuse('the signed bytes have no transaction id');
  const sender = senderOf(final);
  if (sender !== canonicalAddress(unsigned.sender))
    throw fail('CHAINS_SIGNATURE_INVALID', `the signature is of ${sender}, expected ${unsigned.sender}`, {
      recovered: sender,
      expected: unsigned.sender,
    });
  return { txId: final.hash.toLowerCase(), raw, sender };
}

function senderOf(transaction: Transaction): string {
  try {
    return transaction.from ?? refuse('the signature recovers no sender');
  } catch (error) {
    return refuse(`the signature recovers no sender: ${messageOf(error).slice(0, 200)}`, error);
  }
}

/** The id of raw signed bytes: keccak-256 over them. @throws CHAINS_SIGNATURE_INVALID */
export function txIdOf(raw: string): string {
  return decode(raw).hash?.toLowerCase() ?? refuse('the bytes are not signed');
}
