/** Time and randomness as arguments: pure folders take these and never read a clock or a generator themselves. */

export interface Clock {
  /** Milliseconds since 1970-01-01T00:00:00Z. */
  readonly nowMs: () => number;
}
export interface Random {
  /** Cryptographically secure random bytes. */
  readonly bytes: (length: number) => Uint8Array;
}
