/**
 * Balances, available and held, each as two float64 words: whole multiples of 2^53, and what is above them. Trading adds and takes
 * numbers, which are exact below 2^53, and touches the multiples only when it carries or borrows; a bigint per step would be garbage.
 * Credits, debits and whoever reads a balance use bigint.
 *
 * Units given as numbers are integers of 0 to 2^53 - 1.
 */
import { invariant } from '#core/errors';
import { floatAt, intAt } from './words.ts';

const wordValues = 2 ** 53;
const wordBits = 53n;
/** Of an int32 word, and what of its upper one belongs to a whole multiple: 2^53 = 2^21 * 2^32. */
const halfValues = 2 ** 32;
const halvesOfWord = 2 ** 21;
/** Sums over all accounts stay below, so no sum of two balances leaves int64. */
export const totalMax = 2n ** 62n - 1n;

/** Words from the start of a balance. */
const availableWord = 0;
const heldWord = 1;

function add(lows: Float64Array, highs: Float64Array, at: number, units: number): void {
  const low = lows[at] as number;
  // Two numbers below 2^53 may add up to one that is not exact; what each lacks to 2^53 always is.
  const room = wordValues - units;
  if (low < room) lows[at] = low + units;
  else {
    lows[at] = low - room;
    highs[at] = floatAt(highs, at) + 1;
  }
}

/** @returns whether there was enough; if not, nothing is changed */
function take(lows: Float64Array, highs: Float64Array, at: number, units: number): boolean {
  const low = lows[at] as number;
  if (low >= units) {
    lows[at] = low - units;
    return true;
  }
  if (floatAt(highs, at) === 0) return false;
  lows[at] = wordValues - units + low;
  highs[at] = floatAt(highs, at) - 1;
  return true;
}

function broken(account: number, asset: number): never {
  invariant(false, 'the engine took more from a balance than it has', { account, asset });
}

export class Balances {
  /** Units above the multiples. */
  readonly #low: Float64Array;
  /** Multiples of 2^53. */
  readonly #high: Float64Array;
  readonly assets: number;

  constructor(accounts: number, assets: number) {
    this.assets = assets;
    this.#low = new Float64Array(accounts * assets * 2);
    this.#high = new Float64Array(accounts * assets * 2);
  }

  covers(account: number, asset: number, units: number): boolean {
    const at = (account * this.assets + asset) * 2 + availableWord;
    return (this.#low[at] as number) >= units || (this.#high[at] as number) > 0;
  }

  receive(account: number, asset: number, units: number): void {
    add(this.#low, this.#high, (account * this.assets + asset) * 2 + availableWord, units);
  }

  /** From available to held; `covers` was asked before. */
  hold(account: number, asset: number, units: number): void {
    const at = (account * this.assets + asset) * 2;
    if (!take(this.#low, this.#high, at + availableWord, units)) broken(account, asset);
    add(this.#low, this.#high, at + heldWord, units);
  }

  /** From held to available. */
  release(account: number, asset: number, units: number): void {
    const at = (account * this.assets + asset) * 2;
    if (!take(this.#low, this.#high, at + heldWord, units)) broken(account, asset);
    add(this.#low, this.#high, at + availableWord, units);
  }

  /** Out of what is held, to another account. */
  pay(account: number, asset: number, units: number): void {
    const at = (account * this.assets + asset) * 2;
    if (!take(this.#low, this.#high, at + heldWord, units)) broken(account, asset);
  }

  #wide(at: number): bigint {
    return (BigInt(this.#high[at] ?? 0) << wordBits) + BigInt(this.#low[at] ?? 0);
  }

  available(account: number, asset: number): bigint {
    return this.#wide((account * this.assets + asset) * 2 + availableWord);
  }

  held(account: number, asset: number): bigint {
    return this.#wide((account * this.assets + asset) * 2 + heldWord);
  }

  #set(at: number, units: bigint): void {
    this.#high[at] = Number.parseInt((units >> wordBits).toString(), 10);
    this.#low[at] = Number.parseInt(BigInt.asUintN(53, units).toString(), 10);
  }

  /** Credits and debits from outside; `units` may be negative. */
  change(account: number, asset: number, units: bigint): void {
    const at = (account * this.assets + asset) * 2 + availableWord;
    const sum = this.#wide(at) + units;
    invariant(sum >= 0n && sum <= totalMax, 'a balance of the engine left its bounds', { account, asset });
    this.#set(at, sum);
  }

  /** Of the first accounts, for a snapshot: int64, available and held in turn. */
  bytes(accounts: number): Uint8Array {
    const words = new Int32Array(accounts * this.assets * 4);
    for (let at = 0; at < words.length / 2; at++) {
      const low = floatAt(this.#low, at);
      const lowest = low >>> 0;
      words[at * 2] = lowest;
      words[at * 2 + 1] = (low - lowest) / halfValues + floatAt(this.#high, at) * halvesOfWord;
    }
    return new Uint8Array(words.buffer);
  }

  /** @param bytes from the start of their buffer */
  restore(bytes: Uint8Array): void {
    const words = new Int32Array(bytes.buffer, 0, bytes.length / 4);
    for (let at = 0; at < words.length / 2; at++) {
      const upper = intAt(words, at * 2 + 1);
      const high = Math.floor(upper / halvesOfWord);
      this.#high[at] = high;
      this.#low[at] = (upper - high * halvesOfWord) * halfValues + (intAt(words, at * 2) >>> 0);
    }
  }
}
