/** RLP and EIP-1559 bytes for tests, written from the specification and shared with no product code. */
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { keccak_256 } from '@noble/hashes/sha3.js';
import { bytesToHex, concatBytes, hexToBytes } from '@noble/hashes/utils.js';

export type Rlp = Uint8Array | readonly Rlp[];

const bigOf = (bytes: Uint8Array): bigint => (bytes.length === 0 ? 0n : BigInt(`0x${bytesToHex(bytes)}`));
const minimalBytes = (value: bigint): Uint8Array => {
  if (value === 0n) return new Uint8Array();
  const hex = value.toString(16);
  return hexToBytes(hex.length % 2 === 0 ? hex : `0${hex}`);
};
const lengthPrefix = (length: number, base: number): Uint8Array => {
  if (length < 56) return Uint8Array.of(base + length);
  const size = minimalBytes(BigInt(length));
  return concatBytes(Uint8Array.of(base + 55 + size.length), size);
};

export function encodeRlp(item: Rlp): Uint8Array {
  if (!(item instanceof Uint8Array)) {
    const body = concatBytes(...item.map(encodeRlp));
    return concatBytes(lengthPrefix(body.length, 0xc0), body);
  }
  const first = item[0] ?? 0xff;
  return item.length === 1 && first < 0x80 ? item : concatBytes(lengthPrefix(item.length, 0x80), item);
}

function decodeAt(bytes: Uint8Array, at: number): { item: Rlp; end: number } {
  const tag = bytes[at];
  if (tag === undefined) throw new Error('rlp ends early');
  if (tag < 0x80) return { item: bytes.subarray(at, at + 1), end: at + 1 };
  const isList = tag >= 0xc0;
  const short = tag - (isList ? 0xc0 : 0x80);
  const sizeBytes = short > 55 ? short - 55 : 0;
  const size = bytesToHex(bytes.subarray(at + 1, at + 1 + sizeBytes));
  const length = sizeBytes === 0 ? short : Number.parseInt(size, 16);
  const start = at + 1 + sizeBytes;
  const end = start + length;
  if (end > bytes.length) throw new Error('rlp ends early');
  if (!isList) return { item: bytes.subarray(start, end), end };
  const items: Rlp[] = [];
  for (let next = start; next < end; ) {
    const inner = decodeAt(bytes, next);
    items.push(inner.item);
    next = inner.end;
  }
  return { item: items, end };
}

export function decodeRlp(bytes: Uint8Array): Rlp {
  const { item, end } = decodeAt(bytes, 0);
  if (end !== bytes.length) throw new Error('bytes after the rlp item');
  return item;
}

export interface DecodedTransaction {
  readonly chainId: bigint;
  readonly nonce: bigint;
  readonly maxPriorityFeePerGas: bigint;
  readonly maxFeePerGas: bigint;
  readonly gasLimit: bigint;
  /** 0x-hex, lower case. */
  readonly to: string;
  readonly value: bigint;
  readonly dataHex: string;
  readonly accessListLength: number;
  /** Only on signed bytes. */
  readonly sender: string | undefined;
  readonly txId: string;
}

function addressOfKey(publicKey: Uint8Array): string {
  const uncompressed = secp256k1.Point.fromBytes(publicKey).toBytes(false);
  return `0x${bytesToHex(keccak_256(uncompressed.subarray(1)).subarray(12))}`;
}

/** EIP-1559: `02 || rlp([chainId, nonce, tip, maxFee, gas, to, value, data, accessList (, yParity, r, s)])`. */
export function decodeTransaction(hex: string): DecodedTransaction {
  const bytes = hexToBytes(hex.replace(/^0x/, ''));
  if (bytes[0] !== 2) throw new Error('not a type-2 transaction');
  const fields = decodeRlp(bytes.subarray(1));
  if (fields instanceof Uint8Array || (fields.length !== 9 && fields.length !== 12))
    throw new Error('not the fields of a type-2 transaction');
  const leaf = (index: number): Uint8Array => {
    const item = fields[index];
    if (!(item instanceof Uint8Array)) throw new Error(`field ${index} is a list`);
    return item;
  };
  const accessList = fields[8];
  if (accessList === undefined || accessList instanceof Uint8Array) throw new Error('no access list');
  return {
    chainId: bigOf(leaf(0)),
    nonce: bigOf(leaf(1)),
    maxPriorityFeePerGas: bigOf(leaf(2)),
    maxFeePerGas: bigOf(leaf(3)),
    gasLimit: bigOf(leaf(4)),
    to: `0x${bytesToHex(leaf(5))}`,
    value: bigOf(leaf(6)),
    dataHex: bytesToHex(leaf(7)),
    accessListLength: accessList.length,
    sender: fields.length === 12 ? senderOf(fields, leaf) : undefined,
    txId: `0x${bytesToHex(keccak_256(bytes))}`,
  };
}

function senderOf(fields: readonly Rlp[], leaf: (index: number) => Uint8Array): string {
  const digest = keccak_256(concatBytes(Uint8Array.of(2), encodeRlp(fields.slice(0, 9))));
  const padded = (index: number): Uint8Array => {
    const bytes = leaf(index);
    return concatBytes(new Uint8Array(32 - bytes.length), bytes);
  };
  const recovered = concatBytes(Uint8Array.of(leaf(9)[0] ?? 0), padded(10), padded(11));
  return addressOfKey(secp256k1.recoverPublicKey(recovered, digest, { prehash: false }));
}

export interface TestKey {
  readonly privateKey: Uint8Array;
  readonly publicKey: Uint8Array;
}

export function keyOf(privateKeyHex: string): TestKey {
  const privateKey = hexToBytes(privateKeyHex.replace(/^0x/, ''));
  return { privateKey, publicKey: secp256k1.getPublicKey(privateKey, true) };
}

/** r || s (low) and recovery id over the unsigned bytes, as a finished MPC signature comes. */
export function signUnsigned(key: TestKey, unsignedHex: string): { compact: string; recoveryId: 0 | 1 } {
  const digest = keccak_256(hexToBytes(unsignedHex));
  const signature = secp256k1.sign(digest, key.privateKey, {
    prehash: false,
    lowS: true,
    format: 'recovered',
  });
  return { compact: bytesToHex(signature.subarray(1)), recoveryId: signature[0] === 1 ? 1 : 0 };
}
