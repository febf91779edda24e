/** Reading finished bytes back without a node: what a payout certificate claims is compared with this. */
import { Transaction } from 'ethers';
import { errorsOf, messageOf } from '#core/errors';
import { chainErrors } from '../contract.ts';

const fail = errorsOf(chainErrors);

export interface SignedContent {
  readonly txId: string;
  /** Recovered from the signature, EIP-55. */
  readonly sender: string;
  /** CAIP-2. */
  readonly chain: string;
  readonly nonce: number;
  readonly to: string;
  /** Wei. */
  readonly units: bigint;
  /** gasLimit x maxFeePerGas: the most this transaction can cost. */
  readonly maxCostUnits: bigint;
  /** The bytes that were signed: `02 || rlp(...)` without signature, hex. */
  readonly unsigned: string;
  /** True when it does nothing beside moving ether: no data, no access list. */
  readonly plain: boolean;
}

/** @throws CHAINS_SIGNATURE_INVALID when the bytes are not a signed EIP-1559 transaction with a recipient */
export function readSignedTransaction(raw: string): SignedContent {
  let transaction: Transaction;
  try {
    transaction = Transaction.from(`0x${raw}`);
  } catch (error) {
    throw fail('CHAINS_SIGNATURE_INVALID', `the bytes are no transaction: ${messageOf(error).slice(0, 200)}`);
  }
  const { hash, from, to, maxFeePerGas } = transaction;
  if (transaction.type !== 2 || hash === null || from === null || to === null || maxFeePerGas === null)
    throw fail(
      'CHAINS_SIGNATURE_INVALID',
      'the bytes are not a signed EIP-1559 transaction with a recipient',
    );
  return {
    txId: hash.toLowerCase(),
    sender: from,
    chain: `eip155:${transaction.chainId.toString()}`,
    nonce: transaction.nonce,
    to,
    units: transaction.value,
    maxCostUnits: transaction.gasLimit * maxFeePerGas,
    unsigned: transaction.unsignedSerialized.slice(2),
    plain: transaction.data === '0x' && (transaction.accessList ?? []).length === 0,
  };
}
