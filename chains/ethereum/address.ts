/** Ethereum addresses: EIP-55 in and out. */

import { bytesToHex } from '@noble/hashes/utils.js';
import { computeAddress, getAddress } from 'ethers';
import { errorsOf } from '#core/errors';
import { chainErrors } from '../contract.ts';

const fail = errorsOf(chainErrors);
const addressChars = 42;
const compressedKeyBytes = 33;

/**
 * The canonical (EIP-55) form of an address a person or a system typed. All lower case and all upper case carry no
 * checksum and are accepted; mixed case must match. ICAN, missing 0x, names and the zero address are refused.
 * @throws CHAINS_ADDRESS_INVALID with details.reason length | alphabet | checksum | zero
 */
export function parseEthereumAddress(text: string): string {
  if (!text.startsWith('0x'))
    throw fail('CHAINS_ADDRESS_INVALID', 'an Ethereum address starts with 0x', { reason: 'alphabet' });
  if (text.length !== addressChars)
    throw fail(
      'CHAINS_ADDRESS_INVALID',
      `an Ethereum address has ${addressChars} characters, this one ${text.length}`,
      { reason: 'length' },
    );
  const digits = text.slice(2);
  if (!/^[0-9a-fA-F]+$/.test(digits))
    throw fail('CHAINS_ADDRESS_INVALID', 'an Ethereum address is 0x and 40 hexadecimal digits', {
      reason: 'alphabet',
    });
  // The default of many programs; nobody has its key.
  if (/^0+$/.test(digits))
    throw fail('CHAINS_ADDRESS_INVALID', 'the zero address belongs to nobody: what it gets is lost', {
      reason: 'zero',
    });
  const canonical = getAddress(`0x${digits.toLowerCase()}`);
  const carriesChecksum = digits !== digits.toLowerCase() && digits !== digits.toUpperCase();
  if (carriesChecksum && canonical !== text)
    throw fail('CHAINS_ADDRESS_INVALID', 'the upper and lower case letters do not match the checksum', {
      reason: 'checksum',
    });
  return canonical;
}

/** Canonical form of an address that came from a node (never typed). */
export const canonicalAddress = (hex: string): string => getAddress(hex.toLowerCase());

/**
 * Last 20 bytes of keccak-256 over the uncompressed point (Yellow Paper, appendix F).
 * @throws CHAINS_ADDRESS_INVALID when the bytes are no compressed secp256k1 point
 */
export function addressOfCompressedKey(publicKey: Uint8Array): string {
  if (publicKey.length !== compressedKeyBytes)
    throw fail('CHAINS_ADDRESS_INVALID', `a compressed key has ${compressedKeyBytes} bytes`, {
      reason: 'length',
    });
  try {
    return computeAddress(`0x${bytesToHex(publicKey)}`);
  } catch (error) {
    throw fail('CHAINS_ADDRESS_INVALID', 'the bytes are no point of secp256k1', { reason: 'point' }, error);
  }
}
