/** The answers of an Ethereum node, checked before use. Source: execution-apis (JSON-RPC), EIP-1474 for quantities. */
import { z } from 'zod';

const quantityPattern = /^0x(?:0|[1-9a-f][0-9a-f]*)$/;

/** An amount or a price: bigint. */
export const quantity = z
  .string()
  .regex(quantityPattern)
  .max(66)
  .transform((hex) => BigInt(hex));
/** A height, a nonce or a time in seconds: a bounded count, not an amount. */
export const count = z
  .string()
  .regex(quantityPattern)
  .max(16)
  .transform((hex) => Number.parseInt(hex.slice(2), 16))
  .refine((value) => Number.isSafeInteger(value));
export const hash = z
  .string()
  .regex(/^0x[0-9a-fA-F]{64}$/)
  .transform((hex) => hex.toLowerCase());
const address = z
  .string()
  .regex(/^0x[0-9a-fA-F]{40}$/)
  .transform((hex) => hex.toLowerCase());

export const wireHeader = z.object({
  number: count,
  hash,
  parentHash: hash,
  timestamp: count,
});
export type WireHeader = z.output<typeof wireHeader>;

export const wireTransaction = z.object({
  hash,
  from: address,
  to: address.nullish(),
  nonce: count,
  value: quantity,
  blockHash: hash.nullish(),
});
export type WireTransaction = z.output<typeof wireTransaction>;

export const wireBlock = wireHeader.extend({ transactions: z.array(wireTransaction) });
export type WireBlock = z.output<typeof wireBlock>;

export const wireReceipt = z.object({
  transactionHash: hash,
  blockHash: hash,
  blockNumber: count,
  from: address,
  status: count,
  gasUsed: quantity,
  effectiveGasPrice: quantity,
  /** EIP-4844: only on blob transactions, paid beside the execution gas. */
  blobGasUsed: quantity.optional(),
  blobGasPrice: quantity.optional(),
});
export type WireReceipt = z.output<typeof wireReceipt>;

export const wireFeeHistory = z.object({
  /** One more than the blocks asked for: the last is the base fee of the next block. */
  baseFeePerGas: z.array(quantity).min(1),
  gasUsedRatio: z.array(z.number()),
  reward: z.array(z.array(quantity)).nullish(),
});

/** Wei paid for the transaction, whether it succeeded or not. */
export function feeUnitsOf(receipt: WireReceipt): bigint {
  const blobFee = (receipt.blobGasUsed ?? 0n) * (receipt.blobGasPrice ?? 0n);
  return receipt.gasUsed * receipt.effectiveGasPrice + blobFee;
}
