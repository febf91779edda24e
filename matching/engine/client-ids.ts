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

export class ClientIds {
  readonly #taken = new Map<string, Taken>();
  /** Keys in the order they were accepted; a ring. */
  readonly #recent: string[] = [];
  #oldest = 0;
  readonly kept: number;

  constructor(kept: number) {
    this.kept = kept;
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
    return this.#taken.has(key);
  }

  /** -1: no open order has it */
  find(key: string): number {
    return this.#taken.get(key)?.slot ?? none;
  }

  take(key: string, slot: number): void {
    this.#taken.set(key, { slot, isRecent: true });
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
    if (entry === undefined) this.#taken.set(key, { slot, isRecent: false });
    else entry.slot = slot;
  }

  /** For a snapshot: the newest, oldest first. */
  recent(): readonly string[] {
    return [...this.#recent.slice(this.#oldest), ...this.#recent.slice(0, this.#oldest)];
  }
}
