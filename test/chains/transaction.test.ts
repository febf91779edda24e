import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TransactionSignature, UnsignedTransaction } from '#chains/contract';
import { isStrongroomError } from '#core/errors';
import { decodeRlp, decodeTransaction, encodeRlp, signUnsigned } from '../support/rlp.ts';
import { devChain, ether, makeAdapter, recipient, testKey } from './setup.ts';

// Nothing listens there: building and attaching must not ask a node.
const adapter = makeAdapter('http://127.0.0.1:9');
const curveOrder = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const key = testKey(7);
const sender = adapter.addressOfPublicKey(key.publicKey);

function transfer(changes: Partial<{ units: bigint; nonce: number; maxFee: bigint; tip: bigint }> = {}) {
  const maxFeePerGas = changes.maxFee ?? 40n * 10n ** 9n;
  return adapter.buildTransfer({
    conflictSet: { chain: devChain, sender, nonce: changes.nonce ?? 3 },
    to: recipient,
    units: changes.units ?? ether,
    fee: {
      gasLimit: 21_000n,
      maxFeePerGas,
      maxPriorityFeePerGas: changes.tip ?? 10n ** 9n,
      maxCostUnits: 21_000n * maxFeePerGas,
    },
  });
}

function refusalOf(unsigned: UnsignedTransaction, signature: TransactionSignature): string {
  try {
    adapter.attach(unsigned, signature);
  } catch (error) {
    if (isStrongroomError(error)) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'attached';
}

describe('buildTransfer', () => {
  it('writes the bytes of EIP-1559, as an independent decoder reads them', () => {
    fc.assert(
      fc.property(
        fc.bigInt(1n, 2n ** 200n),
        fc.nat(2 ** 31),
        fc.bigInt(1n, 2n ** 60n),
        fc.bigInt(0n, 2n ** 60n),
        (units, nonce, tip, more) => {
          const { unsigned } = transfer({ units, nonce, tip, maxFee: tip + more });
          expect(decodeTransaction(unsigned)).toMatchObject({
            chainId: 31_337n,
            nonce: BigInt(nonce),
            maxPriorityFeePerGas: tip,
            maxFeePerGas: tip + more,
            gasLimit: 21_000n,
            to: recipient.toLowerCase(),
            value: units,
            dataHex: '',
            accessListLength: 0,
            sender: undefined,
          });
          const body = hexToBytes(unsigned).subarray(1);
          expect(bytesToHex(encodeRlp(decodeRlp(body)))).toBe(bytesToHex(body));
        },
      ),
    );
  });

  it('refuses to move nothing, unless it cancels to itself', () => {
    expect(() => transfer({ units: 0n })).toThrow(/cancel/);
    const { fee } = transfer();
    const conflictSet = { chain: devChain, sender, nonce: 3 };
    expect(adapter.buildTransfer({ conflictSet, to: sender, units: 0n, fee }).units).toBe(0n);
  });

  it('refuses a wrongly checksummed recipient', () => {
    const { fee } = transfer();
    const conflictSet = { chain: devChain, sender, nonce: 3 };
    const to = recipient.replace('E340B3', 'e340B3');
    expect(() => adapter.buildTransfer({ conflictSet, to, units: 1n, fee })).toThrow(/checksum/);
  });
});

describe('attach', () => {
  it('gives bytes that an independent decoder recovers the sender from, and their id', () => {
    const unsigned = transfer();
    const signed = adapter.attach(unsigned, signUnsigned(key, unsigned.unsigned));
    const decoded = decodeTransaction(signed.raw);
    expect(decoded.sender).toBe(sender.toLowerCase());
    expect(decoded.txId).toBe(signed.txId);
    expect(decoded.value).toBe(ether);
    expect(signed.sender).toBe(sender);
  });

  it('refuses a high s, which recovers the right sender and which nodes refuse', () => {
    const unsigned = transfer();
    const { compact, recoveryId } = signUnsigned(key, unsigned.unsigned);
    const high = (curveOrder - BigInt(`0x${compact.slice(64)}`)).toString(16).padStart(64, '0');
    const flipped = { compact: compact.slice(0, 64) + high, recoveryId: recoveryId === 1 ? 0 : 1 } as const;
    expect(refusalOf(unsigned, flipped)).toMatch(/^CHAINS_SIGNATURE_INVALID: s is high/);
  });

  it('refuses the signature of another key and a flipped recovery id', () => {
    const unsigned = transfer();
    const good = signUnsigned(key, unsigned.unsigned);
    expect(refusalOf(unsigned, signUnsigned(testKey(8), unsigned.unsigned))).toMatch(
      /^CHAINS_SIGNATURE_INVALID/,
    );
    expect(refusalOf(unsigned, { ...good, recoveryId: good.recoveryId === 1 ? 0 : 1 })).toMatch(
      /^CHAINS_SIGNATURE_INVALID/,
    );
  });

  it('refuses a signature over other content', () => {
    const other = transfer({ units: 2n * ether });
    expect(refusalOf(transfer(), signUnsigned(key, other.unsigned))).toMatch(/^CHAINS_SIGNATURE_INVALID/);
  });

  it.each([
    ['zero r', '0'.repeat(64) + '1'.repeat(64)],
    ['r at the curve order', curveOrder.toString(16) + '1'.repeat(64)],
    ['zero s', '1'.repeat(64) + '0'.repeat(64)],
    ['too short', '11'.repeat(63)],
    ['upper case', 'AB'.repeat(64)],
  ])('refuses %s', (_name, compact) => {
    expect(refusalOf(transfer(), { compact, recoveryId: 0 })).toMatch(/^CHAINS_SIGNATURE_INVALID/);
  });

  it('refuses bytes that say something else than their description, in every field', () => {
    const honest = transfer();
    const { fee } = honest;
    const lies: Partial<UnsignedTransaction>[] = [
      { to: sender },
      { units: 1n },
      { nonce: 4 },
      { fee: { ...fee, gasLimit: 22_000n } },
      { fee: { ...fee, maxFeePerGas: fee.maxFeePerGas + 1n } },
      { fee: { ...fee, maxPriorityFeePerGas: 1n } },
    ];
    const signature = signUnsigned(key, honest.unsigned);
    expect(refusalOf(honest, signature)).toBe('attached');
    for (const lie of lies) expect(refusalOf({ ...honest, ...lie }, signature)).toMatch(/say something else/);
  });

  it('refuses bytes with data, with an access list, of another chain, and signed ones', () => {
    const honest = transfer();
    const fields = decodeRlp(hexToBytes(honest.unsigned).subarray(1));
    if (fields instanceof Uint8Array) throw new Error('no list');
    const replaced = (index: number, item: Uint8Array | readonly Uint8Array[]): string =>
      `02${bytesToHex(encodeRlp(fields.map((field, at) => (at === index ? item : field))))}`;
    const accessList = encodeAccessList();
    for (const unsigned of [
      replaced(7, Uint8Array.of(1)),
      replaced(0, Uint8Array.of(1)),
      `02${bytesToHex(encodeRlp(fields.map((field, at) => (at === 8 ? accessList : field))))}`,
    ])
      expect(refusalOf({ ...honest, unsigned }, signUnsigned(key, unsigned))).toMatch(/say something else/);
    const { raw } = adapter.attach(honest, signUnsigned(key, honest.unsigned));
    expect(refusalOf({ ...honest, unsigned: raw }, signUnsigned(key, raw))).toMatch(/already carry/);
  });
});

function encodeAccessList() {
  return [[new Uint8Array(20).fill(1), []]];
}
