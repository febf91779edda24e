/**
 * Signatures of one address are checked a few at a time: as many at once as it may still fail in this second. So what is wrong is
 * counted before the next one is looked at, however many come together; what is right waits for those before it, and costs nothing.
 */

/** How often the address may fail within the second. */
export interface Allowance {
  /** Of the address; IPv6 by its /64. */
  readonly key: string;
  readonly max: number;
  readonly remaining: number;
  readonly ttlInSeconds: number;
  readonly isExceeded: boolean;
}
/** To be left in any case, after a failure was counted. */
export type Turn =
  | { readonly leave: () => void }
  | { readonly refusedBy: Allowance /** Or else it has failed too often. */; readonly isCrowded: boolean };

/** Of one address; their bodies of 64 KiB are here already, so 125 MiB at most. A second of the fastest key is as many, and takes 0.2 s. */
export const waitingMax = 2_000;

interface Line<A> {
  readonly waiting: { readonly asker: A; readonly resolve: (turn: Turn) => void }[];
  checked: number;
  /** Turns that ended: what was read of the allowance before is out of date. */
  ended: number;
  isCalling: boolean;
}

export class Turns<A> {
  readonly #allowanceOf: (asker: A) => Promise<Allowance>;
  readonly #lines = new Map<string, Line<A>>();

  /** @param allowanceOf counts nothing */
  constructor(allowanceOf: (asker: A) => Promise<Allowance>) {
    this.#allowanceOf = allowanceOf;
  }

  async enter(asker: A): Promise<Turn> {
    const allowance = await this.#allowanceOf(asker);
    const { key } = allowance;
    const line = this.#lines.get(key) ?? { waiting: [], checked: 0, ended: 0, isCalling: false };
    if (line.waiting.length >= waitingMax) return { refusedBy: allowance, isCrowded: true };
    this.#lines.set(key, line);
    const turn = new Promise<Turn>((resolve) => {
      line.waiting.push({ asker, resolve });
    });
    if (!line.isCalling) void this.#call(key, line);
    return await turn;
  }

  async #call(key: string, line: Line<A>): Promise<void> {
    line.isCalling = true;
    for (let [next] = line.waiting; next !== undefined; [next] = line.waiting) {
      const { ended } = line;
      const allowance = await this.#allowanceOf(next.asker);
      if (line.ended !== ended) continue;
      if (allowance.remaining === 0)
        for (const { resolve } of line.waiting.splice(0)) resolve({ refusedBy: allowance, isCrowded: false });
      const free = allowance.remaining - line.checked;
      // The next one that ends calls again.
      if (free <= 0) break;
      for (const { resolve } of line.waiting.splice(0, free)) {
        line.checked++;
        resolve({ leave: () => this.#leave(key, line) });
      }
    }
    line.isCalling = false;
    this.#forget(key, line);
  }

  #leave(key: string, line: Line<A>): void {
    line.checked--;
    line.ended++;
    if (line.waiting.length > 0 && !line.isCalling) void this.#call(key, line);
    this.#forget(key, line);
  }
  #forget(key: string, line: Line<A>): void {
    if (line.checked === 0 && line.waiting.length === 0 && !line.isCalling) this.#lines.delete(key);
  }
}
