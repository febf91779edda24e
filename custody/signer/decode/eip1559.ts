/**
 * Decoder of unsigned EIP-1559 transactions (EIP-2718 type 0x02), independent of every chain library: what a co-signer
 * believes about a payment is what it reads here.
 *
 * `02 || rlp([chainId, nonce, maxPriorityFeePerGas, maxFeePerGas, gasLimit, to, value, data, accessList])`
 */
import { decodeRlp, RlpDefect, type RlpItem } from './rlp.ts';

const transactionType = 0x02;
const fieldsCount = 9;
const addressBytes = 20;
const wordBytes = 32;
/** Gas and nonce are 64-bit (EIP-1985, EIP-2681). */
const shortWordBytes = 8;
const nonceMax = 2n ** 64n - 2n; // EIP-2681

/** Operations that are well-formed but not on the allow-list of this cut: only plain transfers of ether are signed. */
export type ForbiddenOperation = 'contract-data' | 'access-list';

interface Eip1559Transaction {
  readonly chainId: bigint;
  readonly nonce: bigint;
  /** Wei per gas. */
  readonly maxPriorityFeePerGas: bigint;
  readonly maxFeePerGas: bigint;
  readonly gasLimit: bigint;
  /** 20 bytes. */
  readonly to: Uint8Array;
  /** Wei. */
  readonly value: bigint;
}
export type Eip1559Decoding =
  | {
      readonly ok: true;
      readonly transaction: Eip1559Transaction;
      readonly forbidden: readonly ForbiddenOperation[];
    }
  | { readonly ok: false; readonly reason: string; readonly message: string };

function stringField(fields: readonly RlpItem[], index: number, name: string): Uint8Array {
  const item = fields[index];
  if (!(item instanceof Uint8Array)) throw new RlpDefect('field-malformed', `${name} is not a string`);
  return item;
}

/** A scalar has no leading zero byte; zero is the empty string. */
function scalarField(fields: readonly RlpItem[], index: number, name: string, bytesMax: number): bigint {
  const bytes = stringField(fields, index, name);
  if (bytes.length > bytesMax)
    throw new RlpDefect('field-out-of-range', `${name} has more than ${bytesMax} bytes`);
  if (bytes[0] === 0) throw new RlpDefect('rlp-not-minimal', `${name} has a leading zero`);
  return bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

function readTransaction(fields: readonly RlpItem[]): Eip1559Transaction {
  const transaction = {
    chainId: scalarField(fields, 0, 'chainId', wordBytes),
    nonce: scalarField(fields, 1, 'nonce', shortWordBytes),
    maxPriorityFeePerGas: scalarField(fields, 2, 'maxPriorityFeePerGas', wordBytes),
    maxFeePerGas: scalarField(fields, 3, 'maxFeePerGas', wordBytes),
    gasLimit: scalarField(fields, 4, 'gasLimit', shortWordBytes),
    to: stringField(fields, 5, 'to'),
    value: scalarField(fields, 6, 'value', wordBytes),
  };
  if (transaction.to.length === 0)
    throw new RlpDefect('contract-creation', 'the transaction has no recipient: it would create a contract');
  if (transaction.to.length !== addressBytes)
    throw new RlpDefect(
      'field-malformed',
      `to has ${transaction.to.length} bytes instead of ${addressBytes}`,
    );
  if (transaction.nonce > nonceMax) throw new RlpDefect('field-out-of-range', 'the nonce is beyond 2^64 - 2');
  if (transaction.maxPriorityFeePerGas > transaction.maxFeePerGas)
    throw new RlpDefect('field-out-of-range', 'maxPriorityFeePerGas is above maxFeePerGas');
  return transaction;
}

/** Reads the bytes of an unsigned transaction. Never throws: hostile bytes are an expected input. */
export function decodeEip1559(bytes: Uint8Array): Eip1559Decoding {
  try {
    if (bytes[0] !== transactionType)
      throw new RlpDefect('transaction-type', 'the bytes are not of transaction type 02 (EIP-1559)');
    const fields = decodeRlp(bytes.subarray(1));
    if (fields instanceof Uint8Array || fields.length !== fieldsCount)
      throw new RlpDefect(
        'field-count',
        `an unsigned EIP-1559 transaction is a list of ${fieldsCount} fields`,
      );
    const forbidden: ForbiddenOperation[] = [];
    if (stringField(fields, 7, 'data').length > 0) forbidden.push('contract-data');
    const accessList = fields[8];
    if (accessList === undefined || accessList instanceof Uint8Array)
      throw new RlpDefect('field-malformed', 'accessList is not a list');
    if (accessList.length > 0) forbidden.push('access-list');
    return { ok: true, transaction: readTransaction(fields), forbidden };
  } catch (error) {
    if (error instanceof RlpDefect) return { ok: false, reason: error.reason, message: error.message };
    throw error;
  }
}
