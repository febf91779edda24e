/** Parts of the fast engine against plain models: where a mistake would need a large book or a rare number to show. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Balances } from '../../../matching/engine/balances.ts';
import { ClientIds } from '../../../matching/engine/client-ids.ts';
import { Ladder } from '../../../matching/engine/ladder.ts';
import { OrderIds } from '../../../matching/engine/order-ids.ts';
import { none, Orders, orderFloat, orderInt } from '../../../matching/engine/orders.ts';
import { feeOf } from '../../../matching/engine/settle.ts';
import { Random } from './random.ts';

describe('a ladder', () => {
  // Around the widths of its bitmaps, up to the widest a market may have.
  test.each([1, 31, 32, 33, 1_024, 1_025, 32_769, 2 ** 20])(
    'of %i ticks finds the next best price',
    (ticks) => {
      for (const isDescending of [false, true]) {
        const orders = new Orders(64);
        const ladder = new Ladder(ticks, isDescending);
        const random = new Random(ticks);
        const queues = new Map<number, number[]>();
        for (let step = 0; step < 400; step++) {
          const resting = [...queues.entries()].flatMap(([level, slots]) =>
            slots.map((slot) => [level, slot] as const),
          );
          if (resting.length < 60 && random.chance(55)) {
            const level = random.chance(40)
              ? Math.min(ticks - 1, random.from(0, 40))
              : random.from(0, ticks - 1);
            const slot = orders.take();
            ladder.append(orders, slot, level);
            queues.set(level, [...(queues.get(level) ?? []), slot]);
          } else if (resting.length > 0) {
            const [level, slot] = random.of(resting);
            const others = (queues.get(level) ?? []).filter((other) => other !== slot);
            if (random.chance(20)) {
              ladder.requeue(orders, slot, level);
              queues.set(level, [...others, slot]);
            } else {
              ladder.remove(orders, slot, level);
              orders.give(slot);
              if (others.length === 0) queues.delete(level);
              else queues.set(level, others);
            }
          }
          const expected = [...queues.entries()].sort(([a], [b]) => (isDescending ? b - a : a - b));
          expect(contentOf(ladder, orders)).toEqual(expected);
        }
      }
    },
  );
});
function contentOf(ladder: Ladder, orders: Orders): [number, number[]][] {
  const found: [number, number[]][] = [];
  for (let level = ladder.best; level !== none; level = ladder.after(level)) {
    const slots: number[] = [];
    for (let slot = ladder.head[level] ?? none; slot !== none; slot = orders.int(slot, orderInt.next))
      slots.push(slot);
    found.push([level, slots]);
  }
  return found;
}

test('order ids are found after any adding and removing, also where their lowest bits collide', () => {
  for (const stride of [1, 7, 64, 128, 2 ** 32]) {
    const orders = new Orders(50);
    const ids = new OrderIds(orders);
    const random = new Random(stride);
    const known = new Map<number, number>();
    for (let step = 1; step <= 2_000; step++) {
      if (known.size < 50 && random.chance(52)) {
        const slot = orders.take();
        const id = step * stride;
        orders.setFloat(slot, orderFloat.id, id);
        ids.add(slot);
        known.set(id, slot);
      } else if (known.size > 0) {
        const [id, slot] = random.of([...known]);
        ids.remove(slot);
        orders.give(slot);
        known.delete(id);
        expect(ids.find(id)).toBe(none);
      }
      for (const [id, slot] of known) if (ids.find(id) !== slot) expect(ids.find(id)).toBe(slot);
    }
  }
});

describe('client order ids', () => {
  // The first map is full, several are, or none ever is.
  test.each([2, 7, 1_000])('of %i in each map are taken and found as in one list', (perMapMax) => {
    const kept = 10;
    const random = new Random(perMapMax);
    let ids = new ClientIds(kept, perMapMax);
    const open = new Map<string, number>();
    const recent: string[] = [];
    for (let step = 0; step < 4_000; step++) {
      const key = ClientIds.keyOf(1, random.from(0, 40), 0);
      expect(ids.isTaken(key)).toBe(open.has(key) || recent.includes(key));
      expect(ids.find(key)).toBe(open.get(key) ?? none);
      if (open.has(key) && random.chance(60)) {
        ids.close(key);
        open.delete(key);
      } else if (!ids.isTaken(key)) {
        const slot = random.chance(30) ? none : step;
        ids.take(key, slot);
        if (slot !== none) open.set(key, slot);
        recent.push(key);
        if (recent.length > kept) recent.shift();
      }
      expect(ids.recent()).toEqual(recent);
      if (!random.chance(1)) continue;
      ids = new ClientIds(kept, perMapMax);
      ids.restoreRecent(recent);
      for (const [key, slot] of open) ids.restoreOpen(key, slot);
    }
    expect(open.size).toBeGreaterThan(5);
  });
});

test('balances are exact where they carry and borrow, and a snapshot says them', () => {
  const top = Number.MAX_SAFE_INTEGER;
  const units = fc.oneof(
    fc.constantFrom(0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 52, top - 1, top),
    fc.integer({ min: 0, max: top }),
  );
  const step = fc.tuple(fc.constantFrom(...(['receive', 'hold', 'release', 'pay'] as const)), units);
  const wide = fc.bigInt({ min: 0n, max: 2n ** 61n });
  const run = (
    first: bigint,
    steps: readonly (readonly ['receive' | 'hold' | 'release' | 'pay', number])[],
  ) => {
    const balances = new Balances(3, 2);
    balances.change(1, 1, first);
    let [available, held] = [first, 0n];
    for (const [what, amount] of steps) {
      const wanted = BigInt(amount);
      expect(balances.covers(1, 1, amount)).toBe(available >= wanted);
      const isThere = what === 'receive' || (what === 'hold' ? available : held) >= wanted;
      if (!isThere) expect(() => balances[what](1, 1, amount)).toThrow('more from a balance than it has');
      else {
        balances[what](1, 1, amount);
        if (what === 'receive' || what === 'release') available += wanted;
        if (what === 'hold') available -= wanted;
        if (what === 'hold') held += wanted;
        if (what === 'release' || what === 'pay') held -= wanted;
      }
      expect([balances.available(1, 1), balances.held(1, 1)]).toEqual([available, held]);
    }
    const bytes = balances.bytes(2);
    expect([...new BigInt64Array(bytes.buffer)].slice(-2)).toEqual([available, held]);
    const restored = new Balances(3, 2);
    restored.restore(bytes);
    expect([restored.available(1, 1), restored.held(1, 1)]).toEqual([available, held]);
  };
  fc.assert(fc.property(wide, fc.array(step, { maxLength: 30 }), run), { numRuns: 500, seed: 5 });
});

test('a fee is the exact quotient, rounded up', () => {
  const million = 1_000_000;
  const units = fc.oneof(
    fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
    fc
      .tuple(
        fc.integer({ min: 0, max: Math.floor(Number.MAX_SAFE_INTEGER / million) - 1 }),
        fc.integer({ min: -1, max: 1 }),
      )
      .map(([millions, off]) => Math.max(0, millions * million + off)),
    // Products with a rate of 1 just above and below what is computed in one step.
    fc.integer({ min: Number.MAX_SAFE_INTEGER - 5_000_000, max: Number.MAX_SAFE_INTEGER }),
  );
  fc.assert(
    fc.property(units, fc.oneof(fc.constant(1), fc.integer({ min: 0, max: million })), (amount, ppm) => {
      const exact = (BigInt(amount) * BigInt(ppm) + 999_999n) / 1_000_000n;
      expect(BigInt(feeOf(amount, ppm))).toBe(exact);
      expect(exact <= BigInt(amount)).toBe(true);
    }),
    { numRuns: 3_000, seed: 7 },
  );
});
