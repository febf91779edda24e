/** The leaves of one asset while they are collected: packed, because a million objects would take ten times the memory. */
import { invariant } from '#core/errors';
import { hashBytes, nodeBytes, writeUnits } from './encoding.ts';
import { compareCommitments } from './tree.ts';

export class LeafSet {
  readonly #leaves: Uint8Array;
  /** The first 48 bits of each commitment: comparing numbers settles all but one in 2^48 comparisons. */
  readonly #keys: Float64Array;
  readonly #count: number;
  #added = 0;

  constructor(count: number) {
    this.#count = count;
    this.#leaves = new Uint8Array(count * nodeBytes);
    this.#keys = new Float64Array(count);
  }

  add(commitment: Uint8Array, units: bigint): void {
    invariant(this.#added < this.#count, `more than the counted ${this.#count} customers`);
    const at = this.#added * nodeBytes;
    this.#leaves.set(commitment, at);
    writeUnits(this.#leaves, at + hashBytes, units);
    this.#keys[this.#added] = Buffer.from(commitment.buffer, commitment.byteOffset, 6).readUIntBE(0, 6);
    this.#added += 1;
  }

  #leaf(index: number): Uint8Array {
    return this.#leaves.subarray(index * nodeBytes, (index + 1) * nodeBytes);
  }

  /** Ascending by commitment; each a view of 64 bytes, commitment and balance. */
  *sorted(): Generator<Uint8Array> {
    invariant(this.#added === this.#count, `${this.#added} customers of the counted ${this.#count}`);
    const keys = this.#keys;
    const order = Uint32Array.from({ length: this.#count }, (_, index) => index);
    order.sort((a, b) => {
      const difference = (keys[a] ?? 0) - (keys[b] ?? 0);
      return difference === 0 ? compareCommitments(this.#leaf(a), this.#leaf(b)) : difference;
    });
    for (const index of order) yield this.#leaf(index);
  }
}
