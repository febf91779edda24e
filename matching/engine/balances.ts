/**
 * Balances as int64 in pairs of int32 words: available, held. Trading adds and takes in words, because a bigint per step would
 * be garbage; credits, debits and whoever reads a balance use bigint.
 *
 * Units given as numbers are integers of 0 to 2^53 - 1.
 */
import { invariant } from '#core/errors';
import { intAt } from './words.ts';

const wordValues = 2 ** 32;
/** Of a multiple of 2^32 the product is the exact quotient. */
const perWord = 2 ** -32;
/** Sums over all accounts stay below, so no sum of two balances leaves int64. */
export const totalMax = 2n ** 62n - 1n;

/** int32 words from the start of a balance. */
const availableWord = 0;
const heldWord = 2;

function add(words: Int32Array, at: number, units: number): void {
  const low = units >>> 0;
  const sum = (intAt(words, at) >>> 0) + low;
  words[at] = sum;
  words[at + 1] = intAt(words, at + 1) + (units - low) * perWord + (sum >= wordValues ? 1 : 0);
}

/** @returns whether there was enough; if not, the words are below zero */
function subtract(words: Int32Array, at: number, units: number): boolean {
  const low = units >>> 0;
  const difference = (intAt(words, at) >>> 0) - low;
  words[at] = difference;
  const high = intAt(words, at + 1) - (units - low) * perWord - (difference < 0 ? 1 : 0);
  words[at + 1] = high;
  return high >= 0;
}

export class Balances {
  readonly #words: Int32Array;
  readonly #wide: BigInt64Array;
  readonly assets: number;

  constructor(accounts: number, assets: number) {
    this.assets = assets;
    const buffer = new ArrayBuffer(accounts * assets * 16);
    this.#words = new Int32Array(buffer);
    this.#wide = new BigInt64Array(buffer);
  }

  #at(account: number, asset: number): number {
    return (account * this.assets + asset) * 4;
  }

  covers(account: number, asset: number, units: number): boolean {
    const at = this.#at(account, asset) + availableWord;
    const low = units >>> 0;
    const high = (units - low) * perWord;
    const ownHigh = intAt(this.#words, at + 1);
    return ownHigh > high || (ownHigh === high && intAt(this.#words, at) >>> 0 >= low);
  }

  receive(account: number, asset: number, units: number): void {
    add(this.#words, this.#at(account, asset) + availableWord, units);
  }

  /** From available to held; `covers` was asked before. */
  hold(account: number, asset: number, units: number): void {
    const at = this.#at(account, asset);
    if (!subtract(this.#words, at + availableWord, units)) this.#broken(account, asset);
    add(this.#words, at + heldWord, units);
  }

  /** From held to available. */
  release(account: number, asset: number, units: number): void {
    const at = this.#at(account, asset);
    if (!subtract(this.#words, at + heldWord, units)) this.#broken(account, asset);
    add(this.#words, at + availableWord, units);
  }

  /** Out of what is held, to another account. */
  pay(account: number, asset: number, units: number): void {
    if (!subtract(this.#words, this.#at(account, asset) + heldWord, units)) this.#broken(account, asset);
  }

  available(account: number, asset: number): bigint {
    return this.#wide[(account * this.assets + asset) * 2] ?? 0n;
  }

  held(account: number, asset: number): bigint {
    return this.#wide[(account * this.assets + asset) * 2 + 1] ?? 0n;
  }

  /** Credits and debits from outside; `units` may be negative. */
  change(account: number, asset: number, units: bigint): void {
    const at = (account * this.assets + asset) * 2;
    const sum = (this.#wide[at] ?? 0n) + units;
    invariant(sum >= 0n && sum <= totalMax, 'a balance of the engine left its bounds', { account, asset });
    this.#wide[at] = sum;
  }

  /** Of the first accounts, for a snapshot. */
  bytes(accounts: number): Uint8Array {
    return new Uint8Array(this.#words.buffer, 0, accounts * this.assets * 16);
  }

  restore(bytes: Uint8Array): void {
    new Uint8Array(this.#words.buffer).set(bytes);
  }

  #broken(account: number, asset: number): never {
    invariant(false, 'the engine took more from a balance than it has', { account, asset });
  }
}
