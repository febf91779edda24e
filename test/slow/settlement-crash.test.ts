import { expect, test } from 'vitest';
import { crashSettlement } from '../support/settlement-crash.ts';

test.each([11, 12, 13])(
  'thirty crashes of settler and PostgreSQL lose and double nothing: seed %i',
  async (seed) => {
    const { crashes, trades } = await crashSettlement({ seed, commands: 40_000, tradesMax: 40, crashes: 30 });
    expect(crashes).toBe(30);
    expect(trades).toBeGreaterThan(10_000n);
  },
);
