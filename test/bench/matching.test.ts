/** What `npm run bench:matching` measures: the workload it says, the same commands for both books, the same outcome. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { assertSameOutcome, outcomeOf } from '../../bench/matching/agreement.ts';
import { peer, strongroom } from '../../bench/matching/books.ts';
import { makeFlow } from '../../bench/matching/flow.ts';

const count = 20_000;
const resting = 1_000;

/** Of what is timed: how many percent of each kind there are. */
function sharesOf({ calls }: ReturnType<typeof makeFlow>): Record<string, number> {
  const timed = calls.slice(resting).map(({ kind }) => kind);
  const share = (kind: string): number => (timed.filter((each) => each === kind).length * 100) / count;
  return Object.fromEntries([...new Set(timed)].map((kind) => [kind, Math.round(share(kind))]));
}

describe.each([
  ['mixed', { limit: 60, cancel: 30, market: 10 }, '56fb0e99fadb9fb7'],
  ['moves', { modify: 82, limit: 12, cancel: 6 }, '4899cc36037a464a'],
] as const)('the flow %s', (mix, shares, digest) => {
  const flow = makeFlow(mix, resting, count);

  test('has the shares that the figures are given for', () => {
    const found = sharesOf(flow);
    expect(Object.keys(found).sort()).toEqual(Object.keys(shares).sort());
    // Chance moves them by a percent.
    for (const [kind, share] of Object.entries(shares))
      expect(Math.abs((found[kind] ?? 0) - share)).toBeLessThanOrEqual(1);
  });

  test('is the same commands each time: a change of them makes figures that cannot be compared', () => {
    const bytes = new Uint8Array(flow.slots.int32.buffer);
    expect(createHash('sha256').update(bytes).digest('hex').slice(0, 16)).toBe(digest);
  });

  test('leaves both books with the same orders and volume, about as many as it began with', () => {
    expect(() => {
      assertSameOutcome(flow, count);
    }).not.toThrow();
    const { volume, openOrders } = outcomeOf(strongroom, flow, count);
    expect(volume).toBeGreaterThan(0);
    expect(openOrders / resting).toBeGreaterThan(0.5);
    expect(openOrders / resting).toBeLessThan(2);
  });

  test('is found out when one of the books does less', () => {
    const theirs = outcomeOf(peer, flow, count - 1);
    expect(theirs).not.toEqual(outcomeOf(strongroom, flow, count));
    const calls = flow.calls.filter((_, at) => at !== resting);
    expect(() => {
      assertSameOutcome({ ...flow, calls }, count - 1);
    }).toThrow();
  });
});
