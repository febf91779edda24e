/** Seeded random numbers (splitmix32, public domain), so that a failing stream is named by its seed. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** 0 to 2^32 - 1. */
  word(): number {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    let z = this.#state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  }

  /** An integer, both ends included. */
  from(low: number, high: number): number {
    return low + Math.floor((this.word() / 2 ** 32) * (high - low + 1));
  }

  chance(percent: number): boolean {
    return this.word() < (percent / 100) * 2 ** 32;
  }

  of<T>(values: readonly T[]): T {
    return values[this.from(0, values.length - 1)] as T;
  }
}
