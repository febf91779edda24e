/**
 * Client order ids: taken while their order is open, and among the newest that were accepted. Only orders that carry one come
 * here, so a plain map does; nothing iterates over it.
 */
import { none } from './orders.ts';

interface Taken {
  /** -1 when the order is no longer open. */
  slot: number;
  /** Whether it is still among the newest. */
  isRecent: boolean;
}

/** A map of V8 refuses the entry after its 2^24th; ids kept and ids of open orders together may be more. */
const entriesPerMapMax = 2 ** 23;

/** One map, and one more where all before it are full. */
class TakenKeys {
  readonly #maps = [new Map<string, Taken>()];
  readonly #perMapMax: number;

  constructor(perMapMax: number) {
    this.#perMapMax = perMapMax;
  }

  get(key: string): Taken | undefined {
    for (const map of this.#maps) {
      const entry = map.get(key);
      if (entry !== undefined) return entry;
    }
    return undefined;
  }

  /** @param key that no map has */
  add(key: string, entry: Taken): void {
    let map = this.#maps.find(({ size }) => size < this.#perMapMax);
    if (map === undefined) {
      map = new Map();
      this.#maps.push(map);
    }
    map.set(key, entry);
  }

  delete(key: string): void {
    for (const map of this.#maps) if (map.delete(key)) return;
  }
}

export class ClientIds {
  readonly #taken: TakenKeys;
  /** Keys in the order they were accepted; a ring. */
  readonly #recent: string[] = [];
  #oldest = 0;
  readonly kept: number;

  /** @param perMapMax for tests: a map of the real size takes more memory than they have */
  constructor(kept: number, perMapMax = entriesPerMapMax) {
    this.kept = kept;
    this.#taken = new TakenKeys(perMapMax);
  }

  /** The words of the uint64. */
  static keyOf(account: number, low: number, high: number): string {
    return `${account}/${low >>> 0}/${high >>> 0}`;
  }

  /** The same for the id in one; of an account's, in 0 to 2^64 - 1. */
  static keyOfId(account: number, id: bigint): string {
    return `${account}/${id & 0xffff_ffffn}/${id >> 32n}`;
  }

  isTaken(key: string): boolean {
    return this.#taken.get(key) !== undefined;
  }

  /** -1: no open order has it */
  find(key: string): number {
    return this.#taken.get(key)?.slot ?? none;
  }

  take(key: string, slot: number): void {
    this.#taken.add(key, { slot, isRecent: true });
    if (this.#recent.length < this.kept) {
      this.#recent.push(key);
      return;
    }
    const dropped = this.#recent[this.#oldest] as string;
    this.#recent[this.#oldest] = key;
    this.#oldest = (this.#oldest + 1) % this.kept;
    const entry = this.#taken.get(dropped);
    if (entry === undefined) return;
    entry.isRecent = false;
    if (entry.slot === none) this.#taken.delete(dropped);
  }

  /** The order has ended. */
  close(key: string): void {
    const entry = this.#taken.get(key);
    if (entry === undefined) return;
    entry.slot = none;
    if (!entry.isRecent) this.#taken.delete(key);
  }

  /** From a snapshot, before its open orders. */
  restoreRecent(keys: readonly string[]): void {
    for (const key of keys) this.take(key, none);
  }

  restoreOpen(key: string, slot: number): void {
    const entry = this.#taken.get(key);
    if (entry === undefined) this.#taken.add(key, { slot, isRecent: false });
    else entry.slot = slot;
  }

  /** For a snapshot: the newest, oldest first. */
  recent(): readonly string[] {
    return [...this.#recent.slice(this.#oldest), ...this.#recent.slice(0, this.#oldest)];
  }
}
