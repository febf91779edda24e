/** Accounts rebuilt from a snapshot and messages are the engine's; nothing that became of one is left out. */
import { expect, test } from 'vitest';
import { derivedId } from '#core/ids';
import type { CommandBody } from '../../../../matching/commands.ts';
import type { ChannelKey } from '../../../../matching/trading/contract.ts';
import { fillView } from '../../../../matching/trading/views.ts';
import { AccountClient, Follower } from './clients.ts';
import { accountOf, configs, settle, type World, worldOf } from './exchange.ts';

const numbers = [1, 2, 3, 4] as const;
const keyOf = (number: number): ChannelKey => `account/${accountOf(number)}`;

/** As the contract says: hear first, then ask for a snapshot, then take what is newer. Much happens meanwhile. */
async function clientOf(
  { feed }: World,
  number: number,
  meanwhile: () => void = () => undefined,
): Promise<{ client: AccountClient; from: number }> {
  const client = new AccountClient(keyOf(number));
  client.follower.hold(feed);
  const asked = feed.account(accountOf(number));
  meanwhile();
  const snapshot = await asked;
  meanwhile();
  client.begin(snapshot);
  return { client, from: snapshot.seq };
}
/** Straight from the engine: fills of an account after a command. */
const fillsOf = ({ events, scales }: World, number: number, after: number) =>
  events.flatMap((event) => {
    if (event.kind !== 'trade' || event.seq <= after) return [];
    const role = (['taker', 'maker'] as const).find((each) => event[each].account === number);
    const scale = scales.markets[event.market];
    return role === undefined || scale === undefined ? [] : [fillView(event, role, scale, accountOf(number))];
  });

for (const [name, config] of Object.entries(configs))
  test.each([1, 2])(`orders, balances and fills of ${name}, begun at any time: seed %i`, async (seed) => {
    const world = worldOf({ seed, config });
    const { feed, random, step } = world;
    const clients: { number: number; from: number; client: AccountClient }[] = [];
    for (let portion = 0; portion < 200; portion++) {
      if (clients.length < 8 && random.chance(8)) {
        const number = random.of(numbers);
        const meanwhile = (): void => {
          step(random.from(1, 12));
        };
        clients.push({ number, ...(await clientOf(world, number, meanwhile)) });
      }
      const events = step(random.from(1, 12));
      expect(events.length).toBeGreaterThan(0);
      for (const { number, client } of clients) {
        if (client.follower.isListening && random.chance(5)) client.follower.leave();
        else if (!client.follower.isListening && random.chance(30))
          expect(client.follower.resume(feed)).toBe(true);
        if (!client.follower.isListening || random.chance(70)) continue;
        const { orders, balances } = await feed.account(accountOf(number));
        expect(client.state).toEqual({
          orders,
          balances: [...balances].sort((a, b) => (a.asset < b.asset ? -1 : 1)),
        });
      }
    }
    let [fills, ended] = [0, 0];
    for (const { number, from, client } of clients) {
      if (!client.follower.isListening) expect(client.follower.resume(feed)).toBe(true);
      expect(client.fills).toEqual(fillsOf(world, number, from));
      expect(client.follower.gaps).toBe(0);
      fills += client.fills.length;
      ended += client.ended.length;
    }
    expect(fills).toBeGreaterThan(50);
    expect(ended).toBeGreaterThan(50);
    expect(world.problems).toEqual([]);
  });

const limit = {
  kind: 'place',
  market: 0,
  type: 'limit',
  timeInForce: 'gtc',
  price: 100,
} as const;
const fund = (position: number): CommandBody[] => [
  { kind: 'credit', account: 1, asset: 0, units: 1_000_000n, position },
  { kind: 'credit', account: 2, asset: 1, units: 1_000_000n, position: position + 1 },
];

test('how an order ends: filled, or with its reason and what was left', async () => {
  const world = worldOf({ seed: 1 });
  world.run([{ kind: 'open-account', account: 1 }, { kind: 'open-account', account: 2 }, ...fund(1)]);
  const { client: seller } = await clientOf(world, 1);
  const { client: buyer } = await clientOf(world, 2);
  const { seq } = world.link.view();
  world.run([
    { ...limit, account: 1, side: 'sell', lots: 10, clientOrderId: 77n },
    { ...limit, account: 2, side: 'buy', lots: 4, timeInForce: 'ioc', clientOrderId: 88n },
    { kind: 'cancel', account: 1, clientOrderId: 77n },
  ]);
  const { size } = world.scales.market('ETH-USD');
  const common = { kind: 'order-ended', market: 'ETH-USD', filled: size(4) };
  expect(seller.ended).toEqual([
    {
      ...common,
      orderId: `${seq + 1}`,
      clientOrderId: '77',
      doneReason: 'cancelled',
      remaining: size(6),
    },
  ]);
  expect(buyer.ended).toEqual([
    { ...common, orderId: `${seq + 2}`, clientOrderId: '88', doneReason: null, remaining: size(0) },
  ]);
  // One message for the portion, in the order things happened, balances last.
  expect(seller.follower.messages.map(({ changes }) => changes.map(({ kind }) => kind))).toEqual([
    ['fill', 'order-ended', 'balance', 'balance'],
  ]);
  world.run([{ ...limit, account: 1, side: 'sell', lots: 10 }]);
  expect(seller.follower.messages.at(-1)?.changes.map(({ kind }) => kind)).toEqual(['order', 'balance']);
  world.run([{ kind: 'cancel', account: 1, orderId: 999 }]);
  expect(seller.follower.messages).toHaveLength(2);
});

test('an account that the engine does not know yet is followed from its first event on', async () => {
  const world = worldOf({ seed: 1 });
  const { client } = await clientOf(world, 2);
  const stranger = derivedId('acc', 'nobody');
  expect(await world.feed.account(stranger)).toMatchObject({ orders: [], balances: [] });
  expect(client.state).toEqual({ orders: [], balances: [] });
  // Its name is read while it trades already.
  world.run([{ kind: 'open-account', account: 1 }]);
  world.run([{ kind: 'open-account', account: 2 }, ...fund(1)]);
  world.run([
    { ...limit, account: 1, side: 'sell', lots: 10 },
    { ...limit, account: 2, side: 'buy', lots: 4, timeInForce: 'ioc' },
  ]);
  world.run([{ ...limit, account: 2, side: 'buy', lots: 3, price: 95 }]);
  expect(client.follower.messages).toEqual([]);
  await settle();
  expect(client.follower.messages).toHaveLength(1);
  expect(client.fills).toEqual(fillsOf(world, 2, 0));
  expect(client.fills).toHaveLength(1);
  world.run([{ kind: 'cancel-all', account: 2 }]);
  const { orders, balances } = await world.feed.account(accountOf(2));
  expect(client.state).toEqual({ orders, balances });
  expect(client.follower.gaps).toBe(0);
  expect(client.ended).toHaveLength(2);
});

test('a number that cannot be read makes those who wait for it begin anew', async () => {
  const world = worldOf({ seed: 1 });
  const known = new Follower<'account'>(keyOf(1), 0);
  world.run([{ kind: 'open-account', account: 1 }]);
  known.listen(world.feed);
  await settle();
  const unknown = new Follower<'account'>(keyOf(2), 0);
  unknown.listen(world.feed);
  await settle();
  world.accounts.load = () => Promise.reject(new Error('the database is away'));
  world.run([{ kind: 'open-account', account: 2 }]);
  await settle();
  expect([known.resets, unknown.resets]).toEqual([0, 1]);
  world.accounts.numberOf = () => Promise.reject(new Error('the database is away'));
  const asking = new Follower<'account'>(keyOf(3), 0);
  asking.listen(world.feed);
  await settle();
  expect(asking.resets).toBe(1);
  await expect(world.feed.account(accountOf(3))).rejects.toThrow('the database is away');
});

test('nobody can go on where nobody has looked', async () => {
  const world = worldOf({ seed: 2 });
  world.step(40);
  const { seq } = world.link.view();
  const late = new Follower<'account'>(keyOf(1), seq - 5);
  expect(late.resume(world.feed)).toBe(false);
  const { client } = await clientOf(world, 1);
  world.step(40);
  client.follower.leave();
  // Before the number was known.
  const early = new Follower<'account'>(keyOf(1), seq - 1);
  expect(early.resume(world.feed)).toBe(false);
  expect(client.follower.resume(world.feed)).toBe(true);
});
