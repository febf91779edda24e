/** A ready 2-of-3 key for tests that do not test the DKG itself (which costs 17 CPU-seconds). Development only. */
import { readFileSync } from 'node:fs';

export interface FixtureShares {
  /** Share of party 1, 2, 3 at index 0, 1, 2. Fresh copies: a test may zero them. */
  readonly shares: readonly Uint8Array[];
  /** Compressed root public key, 33 bytes. */
  readonly publicKey: Uint8Array;
  readonly chainCode: Uint8Array;
}

interface FixtureFile {
  readonly publicKey: string;
  readonly chainCode: string;
  readonly shares: readonly string[];
}

export function fixtureShares(): FixtureShares {
  const text = readFileSync(new URL('./mpc-shares.json', import.meta.url), 'utf8');
  const file = JSON.parse(text) as FixtureFile;
  return {
    shares: file.shares.map((share) => new Uint8Array(Buffer.from(share, 'base64'))),
    publicKey: new Uint8Array(Buffer.from(file.publicKey, 'hex')),
    chainCode: new Uint8Array(Buffer.from(file.chainCode, 'hex')),
  };
}
