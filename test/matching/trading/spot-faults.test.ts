/** A transfer between main and spot whose process fails at any step, and which is asked for again. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { uuidOf } from '#core/ids';
import { inTransaction, openPool, type Pool } from '#infra/db';
import { createLedger } from '#ledger';
import { accountClosed, accountReopened, customerMain } from '#ledger/contract';
import { readEvent } from '../../../matching/events.ts';
import type { SpotTransfer } from '../../../matching/trading/contract.ts';
import { createOrders } from '../../../matching/trading/orders.ts';
import { databaseForThisFile } from '../../support/database.ts';
import { coin, gold } from '../settlement/fixture.ts';
import { alice, bob, deskConfig, type LinkFault, order } from './desk.ts';
import { oneLook, openSpotDesk, type SpotDesk, transfer } from './spot-desk.ts';

let pool: Pool;
let desk: SpotDesk;
beforeAll(async () => {
  pool = openPool({ connectionString: await databaseForThisFile(), applicationName: 'test-spot-faults' });
  // The engine forgets a client id soon.
  desk = await openSpotDesk(pool, 'faults', deskConfig({ clientIdsKept }));
});
afterAll(async () => {
  await desk.settler.stop();
  await pool.end();
});

const clientIdsKept = 8;

class Fault extends Error {}
type Query = (...values: unknown[]) => Promise<unknown>;

/** The n-th statement fails: before it reaches the server, or after it was done there. */
function failing(
  real: Pool,
  at: number,
  when: 'before' | 'after',
): { readonly pool: Pool; readonly hit: () => boolean } {
  let count = 0;
  const faulty =
    (query: Query): Query =>
    async (...values) => {
      const isDue = ++count === at;
      if (isDue && when === 'before') throw new Fault('not sent');
      const answer = await query(...values);
      if (isDue) throw new Fault('answer lost');
      return answer;
    };
  const wrapped = <T extends object>(target: T, changes: Record<string, unknown>): T =>
    new Proxy(target, {
      get: (of, name) => {
        const value: unknown =
          typeof name === 'string' && name in changes ? changes[name] : Reflect.get(of, name);
        return typeof value === 'function' ? (value.bind(of) as unknown) : value;
      },
    });
  const failingPool = wrapped(real, {
    query: faulty(real.query.bind(real) as Query),
    connect: async () => {
      const client = await real.connect();
      return wrapped(client, { query: faulty(client.query.bind(client) as Query) });
    },
  });
  return { pool: failingPool, hit: () => count >= at };
}

/** As a process that starts again: nothing is known but what is stored. Until it has ended. */
async function finish(asked: SpotTransfer): Promise<string> {
  for (let attempt = 0; attempt < 20; attempt++) {
    const { state } = await desk.operations({ looksMs: oneLook }).moveSpot(asked);
    await desk.turn();
    if (state !== 'pending') return state;
  }
  throw new Error(`${asked.id} does not end`);
}

test('whichever statement fails, before or after it was done, it is moved once', {
  timeout: 60_000,
}, async () => {
  for (const direction of ['to-spot', 'to-main'] as const)
    for (const when of ['before', 'after'] as const) {
      const statements = await failEach(direction, when);
      expect(statements).toBeGreaterThan(5);
      await desk.expectEqual();
    }
});

/** @returns how many statements an attempt has */
async function failEach(direction: SpotTransfer['direction'], when: 'before' | 'after'): Promise<number> {
  for (let at = 1; at < 100; at++) {
    const before = await desk.balancesOf(bob);
    const asked = transfer({ accountId: bob, direction, units: '1000' });
    const faulty = failing(pool, at, when);
    const ledger = createLedger({ pool: faulty.pool });
    const attempt = desk.operations({ pool: faulty.pool, ledger, looksMs: [0, 5, 5] }).moveSpot(asked);
    const outcome = attempt.catch((error: unknown) => error);
    await desk.turn();
    const isFault = (await outcome) instanceof Fault;
    expect(isFault).toBe(faulty.hit());
    expect(await finish(asked)).toBe('done');
    const moved = direction === 'to-spot' ? 1_000n : -1_000n;
    expect(await desk.balancesOf(bob)).toEqual([before[0] - moved, before[1] + moved]);
    if (!isFault) return at;
  }
  throw new Error('an attempt has no such number of statements');
}

const debitsOf = (account: number): number =>
  desk.exchange.sequencer.journal.filter((command) => command.kind === 'debit' && command.account === account)
    .length;

test.each(['down', 'busy', 'lost-before', 'lost-after'] as const)(
  'a link that is %s at the debit: pending, and done by the next attempt',
  async (fault) => {
    const before = await desk.balancesOf(alice);
    const asked = transfer({ direction: 'to-main' });
    desk.link.fault = fault;
    const spot = desk.operations({ looksMs: oneLook });
    expect(await spot.moveSpot(asked)).toEqual({ ...asked, state: 'pending' });
    expect(await finish(asked)).toBe('done');
    expect(await desk.balancesOf(alice)).toEqual([before[0] + 1_000_000n, before[1] - 1_000_000n]);
    await desk.expectEqual();
  },
);

test('a debit that the engine may have forgotten is not sent again before it is looked for among what is booked', async () => {
  const before = await desk.balancesOf(alice);
  const asked = transfer({ direction: 'to-main' });
  const orders = createOrders(desk);
  // Nothing is settled: the settler is not told of what the engine does.
  const { publish } = desk.link;
  desk.link.publish = () => undefined;
  desk.link.fault = 'lost-after';
  await desk.operations({ looksMs: oneLook }).moveSpot(asked);
  const debits = debitsOf(1);
  for (let at = 0; at < 2 * clientIdsKept; at++)
    await orders.place(order({ price: '4000', size: '0.001', clientOrderId: `${7_000 + at}` }));
  await orders.cancelAll({ accountId: alice });
  for (let at = 0; at < 3; at++)
    expect(await desk.operations({ looksMs: oneLook }).moveSpot(asked)).toEqual({
      ...asked,
      state: 'pending',
    });
  expect(debitsOf(1)).toBe(debits);
  desk.link.publish = publish;
  expect(await finish(asked)).toBe('done');
  expect(debitsOf(1)).toBe(debits);
  expect(await desk.balancesOf(alice)).toEqual([before[0] + 1_000_000n, before[1] - 1_000_000n]);
  await desk.expectEqual();
});

/** The statement of the operator's page that begins so. */
function documented(begin: string): string {
  const page = readFileSync(new URL('../../../docs/operations/settlement.md', import.meta.url), 'utf8');
  const section = page.split('## A transfer to main that stays pending\n')[1]?.split('\n## ')[0] ?? '';
  const at = section.indexOf(begin);
  if (at < 0) throw new Error(`docs/operations/settlement.md has no ${begin}`);
  return section.slice(at, section.slice(at).search(/[;`]/) + at);
}
/** Debits that the engine took, not those it refused. */
const takenDebits = (account: number): number =>
  desk.exchange.sequencer.lots
    .flatMap(({ slots, count }) => Array.from({ length: count }, (_, at) => readEvent(slots, at)))
    .filter((event) => event.kind === 'debited' && event.account === account).length;
async function forgetIds(from: number): Promise<void> {
  const orders = createOrders(desk);
  for (let at = 0; at < 2 * clientIdsKept; at++)
    await orders.place(order({ price: '4000', size: '0.001', clientOrderId: `${from + at}` }));
  await orders.cancelAll({ accountId: alice });
}

test('a debit that the engine has forgotten is not taken again of a process whose view is behind', async () => {
  await desk.turn();
  const before = await desk.balancesOf(alice);
  const asked = transfer({ direction: 'to-main' });
  const { publish } = desk.link;
  desk.link.publish = () => undefined;
  const taken = takenDebits(1);
  desk.link.fault = 'lost-after';
  await desk.operations({ looksMs: oneLook }).moveSpot(asked);
  expect(takenDebits(1)).toBe(taken + 1);
  // Of another process: it saw the engine last just after that.
  const { seq } = desk.commands.view();
  const commands = { ...desk.commands, view: () => ({ ...desk.commands.view(), seq }) };
  await forgetIds(9_000);
  const behind = desk.operations({ commands, looksMs: oneLook });
  for (let at = 0; at < 3; at++) expect(await behind.moveSpot(asked)).toEqual({ ...asked, state: 'pending' });
  expect(takenDebits(1)).toBe(taken + 1);
  desk.link.publish = publish;
  expect(await finish(asked)).toBe('done');
  expect(takenDebits(1)).toBe(taken + 1);
  expect(await desk.balancesOf(alice)).toEqual([before[0] + 1_000_000n, before[1] - 1_000_000n]);
  await desk.expectEqual();
});

test('a debit that comes to the engine long after it was sent is not taken beside the one that was sent after it', async () => {
  await desk.turn();
  const before = await desk.balancesOf(alice);
  const asked = transfer({ direction: 'to-main' });
  const taken = takenDebits(1);
  let letGo: () => void = () => undefined;
  desk.link.gate = new Promise((resolve) => {
    letGo = resolve;
  });
  const slow = desk.operations({ looksMs: oneLook }).moveSpot(asked);
  const isSent = async () =>
    (await pool.query('SELECT FROM matching.spot_transfer WHERE id = $1 AND sent = 1', [uuidOf(asked.id)]))
      .rowCount === 1;
  await expect.poll(isSent).toBe(true);
  desk.link.gate = Promise.resolve();
  expect(await finish(asked)).toBe('done');
  await forgetIds(10_000);
  letGo();
  await slow;
  await desk.turn();
  expect(takenDebits(1)).toBe(taken + 1);
  expect(await desk.balancesOf(alice)).toEqual([before[0] + 1_000_000n, before[1] - 1_000_000n]);
  await desk.expectEqual();
});

test('of two attempts at once one is refused and the other taken: nobody is told that it is refused', async () => {
  await desk.turn();
  const orders = createOrders(desk);
  const asked = transfer({ direction: 'to-main', asset: coin, units: '5000000000' });
  const before = await desk.balancesOf(alice, coin);
  let letGo: () => void = () => undefined;
  desk.link.gate = new Promise((resolve) => {
    letGo = resolve;
  });
  const lost = new Error('the process ends here');
  const { submit } = desk.commands;
  const commands: typeof desk.commands = {
    ...desk.commands,
    submit: async (...sent) => {
      await submit(...sent);
      throw lost;
    },
  };
  const slow = desk.operations({ commands, looksMs: oneLook }).moveSpot(asked);
  const ended = expect(slow).rejects.toBe(lost);
  const isSent = async () =>
    (await pool.query('SELECT FROM matching.spot_transfer WHERE id = $1 AND sent = 1', [uuidOf(asked.id)]))
      .rowCount === 1;
  await expect.poll(isSent).toBe(true);
  desk.link.gate = Promise.resolve();
  // All of it is held while the second one asks.
  const { available } = desk.exchange.sequencer.engine.balance(1, 0);
  const size = (available / 100_000n).toString().padStart(5, '0');
  await orders.place(order({ price: '4000', size: `${size.slice(0, -4)}.${size.slice(-4)}` }));
  const second = await desk.operations({ looksMs: oneLook }).moveSpot(asked);
  expect(second).toEqual({ ...asked, state: 'pending' });
  await orders.cancelAll({ accountId: alice });
  letGo();
  await ended;
  await desk.turn();
  desk.nowMs += 10_001;
  // Nobody asks again.
  await desk.operations().resume();
  const { rows } = await pool.query('SELECT state FROM matching.spot_transfer WHERE id = $1', [
    uuidOf(asked.id),
  ]);
  expect(rows).toEqual([{ state: 'done' }]);
  expect(await desk.balancesOf(alice, coin)).toEqual([
    before[0] + 5_000_000_000n,
    before[1] - 5_000_000_000n,
  ]);
  await desk.expectEqual();
});

test('a lost debit that never came keeps a refusal open until the engine cannot take it any more', async () => {
  await desk.turn();
  const [main, spot] = await desk.balancesOf(alice, coin);
  const asked = transfer({ direction: 'to-main', asset: coin, units: (spot + 10n ** 9n).toString() });
  const one = () => desk.operations({ looksMs: oneLook });
  desk.link.fault = 'lost-before';
  expect(await one().moveSpot(asked)).toEqual({ ...asked, state: 'pending' });
  // This one is refused; but where is the other?
  expect(await one().moveSpot(asked)).toEqual({ ...asked, state: 'pending' });
  await forgetIds(11_000);
  await desk.turn();
  const refusal = 'insufficient-balance';
  expect(await one().moveSpot(asked)).toEqual({ ...asked, state: 'refused', refusal });
  expect(await one().spotTransfer(asked.id)).toEqual({ ...asked, state: 'refused', refusal });
  expect(await desk.balancesOf(alice, coin)).toEqual([main, spot]);
  await desk.expectEqual();
});

test('in a quiet market a person ends it: nothing of it is under way any more, so the next attempt says how', async () => {
  await desk.turn();
  const before = await desk.balancesOf(alice, coin);
  const one = () => desk.operations({ looksMs: oneLook });
  const openOf = async () => {
    const { rows } = await pool.query<{ id: string; open: number }>(documented('SELECT t.id'));
    return rows;
  };
  const taken = transfer({ direction: 'to-main', asset: coin, units: '3000000000' });
  const tooMuch = transfer({ direction: 'to-main', asset: coin, units: (before[1] + 10n ** 9n).toString() });
  desk.link.fault = 'lost-before';
  await one().moveSpot(tooMuch);
  expect(await one().moveSpot(tooMuch)).toEqual({ ...tooMuch, state: 'pending' });
  desk.link.fault = 'lost-after';
  desk.nowMs++;
  expect(await one().moveSpot(taken)).toEqual({ ...taken, state: 'pending' });
  await desk.turn();
  expect(await openOf()).toMatchObject([
    { id: uuidOf(tooMuch.id), open: 1 },
    { id: uuidOf(taken.id), open: 1 },
  ]);
  for (const { id } of [tooMuch, taken])
    await pool.query(documented('UPDATE matching.spot_transfer').replace('...', uuidOf(id)));
  const refusal = 'insufficient-balance';
  expect(await one().spotTransfer(tooMuch.id)).toEqual({ ...tooMuch, state: 'refused', refusal });
  expect(await one().spotTransfer(taken.id)).toEqual({ ...taken, state: 'done' });
  expect(await openOf()).toEqual([]);
  expect(await desk.balancesOf(alice, coin)).toEqual([
    before[0] + 3_000_000_000n,
    before[1] - 3_000_000_000n,
  ]);
  await desk.expectEqual();
});

test('an attempt that was held up sends no debit that the engine took of another one and has forgotten', async () => {
  const before = await desk.balancesOf(alice);
  const asked = transfer({ direction: 'to-main' });
  let letGo: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const { accounts } = desk;
  const slow = desk
    .operations({
      accounts: {
        ...accounts,
        numberOf: async (accountId) => {
          await held;
          return await accounts.numberOf(accountId);
        },
      },
    })
    .moveSpot(asked);
  const rowCount = async () =>
    (await pool.query('SELECT FROM matching.spot_transfer WHERE id = $1', [uuidOf(asked.id)])).rowCount;
  await expect.poll(rowCount).toBe(1);
  expect(await finish(asked)).toBe('done');
  const debits = debitsOf(1);
  const orders = createOrders(desk);
  for (let at = 0; at < 2 * clientIdsKept; at++)
    await orders.place(order({ price: '4000', size: '0.001', clientOrderId: `${8_000 + at}` }));
  await orders.cancelAll({ accountId: alice });
  letGo();
  expect(await slow).toEqual({ ...asked, state: 'done' });
  expect(debitsOf(1)).toBe(debits);
  await desk.turn();
  expect(await desk.balancesOf(alice)).toEqual([before[0] + 1_000_000n, before[1] - 1_000_000n]);
  await desk.expectEqual();
});

const mainOf = (accountId: typeof bob) => ({ account: customerMain(accountId), asset: gold });
const closeMain = async (reference: string) =>
  await desk.exchange.ledger.apply(accountClosed({ reference, ...mainOf(bob) }));

test('a main account is not closed while a debit to it is on its way', async () => {
  await desk.turn();
  const [main, spot] = await desk.balancesOf(bob, gold);
  const asked = transfer({ accountId: bob, direction: 'to-main', asset: gold, units: '5' });
  await desk
    .operations({ looksMs: oneLook })
    .moveSpot(transfer({ accountId: bob, asset: gold, units: main.toString() }));
  await desk.turn();
  const { publish } = desk.link;
  desk.link.publish = () => undefined;
  desk.link.fault = 'lost-after';
  expect(await desk.operations({ looksMs: oneLook }).moveSpot(asked)).toMatchObject({ state: 'pending' });
  await expect(closeMain('close/on-its-way')).rejects.toMatchObject({ code: 'MT008' });
  desk.link.publish = publish;
  expect(await finish(asked)).toBe('done');
  expect(await desk.balancesOf(bob, gold)).toEqual([5n, spot + main - 5n]);
  await desk.operations({ looksMs: oneLook }).moveSpot(transfer({ accountId: bob, asset: gold, units: '5' }));
  await desk.turn();
  expect(await closeMain('close/after')).toMatchObject([{ status: 'ok' }]);
  await desk.exchange.ledger.apply(accountReopened({ reference: 'reopen/after', ...mainOf(bob) }));
  await desk.expectEqual();
});

const isWaitingForLock = async () =>
  (
    await pool.query(
      `SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    )
  ).rowCount === 1;

test('a debit that was held up until its main account was closed is not sent', async () => {
  const [main, spot] = await desk.balancesOf(bob, gold);
  expect(main).toBe(0n);
  const asked = transfer({ accountId: bob, direction: 'to-main', asset: gold, units: '7' });
  let letGo: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const { accounts } = desk;
  const numberOf: typeof accounts.numberOf = async (accountId) => {
    await held;
    return await accounts.numberOf(accountId);
  };
  const slow = desk.operations({ looksMs: oneLook, accounts: { ...accounts, numberOf } }).moveSpot(asked);
  const isAsked = async () =>
    (await pool.query('SELECT FROM matching.spot_transfer WHERE id = $1', [uuidOf(asked.id)])).rowCount === 1;
  await expect.poll(isAsked).toBe(true);
  expect(await closeMain('close/held-up')).toMatchObject([{ status: 'ok' }]);
  const debits = debitsOf(2);
  letGo();
  expect(await slow).toEqual({ ...asked, state: 'pending' });
  expect(debitsOf(2)).toBe(debits);
  // Who closes and who sends, at once: the one that comes second waits for the first.
  await desk.exchange.ledger.apply(accountReopened({ reference: 'reopen/held-up', ...mainOf(bob) }));
  await desk.turn();
  let second: Promise<unknown> | undefined;
  await inTransaction(pool, async (tx) => {
    await desk.exchange.ledger.apply(accountClosed({ reference: 'close/at-once', ...mainOf(bob) }), tx);
    second = desk.operations({ looksMs: oneLook }).moveSpot(asked);
    await expect.poll(isWaitingForLock).toBe(true);
  });
  expect(await second).toEqual({ ...asked, state: 'pending' });
  expect(debitsOf(2)).toBe(debits);
  await desk.exchange.ledger.apply(accountReopened({ reference: 'reopen/at-once', ...mainOf(bob) }));
  expect(await finish(asked)).toBe('done');
  expect(await desk.balancesOf(bob, gold)).toEqual([7n, spot - 7n]);
  await desk.expectEqual();
});

test('what nobody asks for again is finished all the same, oldest first', async () => {
  const asked: SpotTransfer[] = [];
  for (const direction of ['to-main', 'to-spot', 'to-main'] as const) {
    const one = transfer({ direction });
    asked.push(one);
    desk.link.fault = direction === 'to-main' ? 'lost-before' : undefined;
    await desk.operations({ looksMs: oneLook }).moveSpot(one);
    desk.nowMs++;
  }
  desk.link.fault = undefined;
  const states = async () => {
    const { rows } = await pool.query<{ state: string }>(
      'SELECT state FROM matching.spot_transfer WHERE id = ANY ($1) ORDER BY at_ms',
      [asked.map(({ id }) => uuidOf(id))],
    );
    return rows.map(({ state }) => state);
  };
  const spot = desk.operations();
  await desk.turn();
  await spot.resume();
  // They are young: who asked for them may still be waiting.
  expect(await states()).toEqual(['pending', 'pending', 'pending']);
  desk.nowMs += 10_000;
  await spot.resume();
  expect(await states()).toEqual(['pending', 'done', 'pending']);
  await desk.turn();
  // The first statement is that which lists them; one of the next is of the first transfer.
  const faulty = failing(pool, 2, 'before');
  await expect(desk.operations({ pool: faulty.pool }).resume()).rejects.toBeInstanceOf(Fault);
  expect(await states()).toEqual(['pending', 'done', 'done']);
  await spot.resume();
  expect(await states()).toEqual(['done', 'done', 'done']);
  await desk.expectEqual();
});

interface Step {
  readonly direction: SpotTransfer['direction'];
  readonly units: number;
  readonly link: LinkFault | undefined;
  readonly statement: number;
  readonly when: 'before' | 'after';
  /** Whether another process asks for the same at the same time. */
  readonly twice: boolean;
  readonly settles: boolean;
}
const anyStep: fc.Arbitrary<Step> = fc.record({
  direction: fc.constantFrom('to-spot', 'to-main'),
  units: fc.integer({ min: 1, max: 2_000_000 }),
  link: fc.option(fc.constantFrom('down', 'busy', 'lost-before', 'lost-after'), { nil: undefined }),
  statement: fc.integer({ min: 1, max: 30 }),
  when: fc.constantFrom('before', 'after'),
  twice: fc.boolean(),
  settles: fc.boolean(),
});

test('any faults, in any order, of several processes at once: each transfer is moved once or not at all', {
  timeout: 60_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyStep, { minLength: 1, maxLength: 6 }), async (steps) => {
      let [main, spot] = await desk.balancesOf(bob);
      for (const { direction, units, link, statement, when, twice, settles } of steps) {
        const asked = transfer({ accountId: bob, direction, units: units.toString() });
        const faulty = failing(pool, statement, when);
        desk.link.fault = link;
        const attempts = [
          desk.operations({
            pool: faulty.pool,
            ledger: createLedger({ pool: faulty.pool }),
            looksMs: oneLook,
          }),
          ...(twice ? [desk.operations({ looksMs: oneLook })] : []),
        ].map(async (each) => await each.moveSpot(asked));
        await Promise.allSettled(attempts);
        desk.link.fault = undefined;
        if (settles) await desk.turn();
        expect(await finish(asked)).toBe('done');
        const moved = direction === 'to-spot' ? BigInt(units) : -BigInt(units);
        [main, spot] = [main - moved, spot + moved];
        expect(await desk.balancesOf(bob)).toEqual([main, spot]);
      }
      await desk.expectEqual();
    }),
    { numRuns: 15 },
  );
});
