import { describe, expect, test } from 'vitest';
import { type CommandBody, commandBytes, commandSlots, writeCommand } from '../../../matching/commands.ts';
import { createEngine } from '../../../matching/engine/index.ts';
import { Submissions } from '../../../matching/link/submissions.ts';
import { openSequencer } from '../../../matching/sequencer/index.ts';
import { loadConfig, sequenced } from '../../support/matching-load.ts';
import { bodies, HeldDisk, throwawayFolder, until } from '../journal/fixture.ts';
import { atEnd, codeOf, connect, expectSame, serve, serveAgain } from './fixture.ts';
import { Relay } from './relay.ts';

const commands = bodies(400);
const command = (at: number): CommandBody => commands[at] as CommandBody;
const openAccount = (account: number): CommandBody => ({ kind: 'open-account', account });
const order: CommandBody = {
  kind: 'place',
  account: 1,
  market: 0,
  side: 'buy',
  type: 'limit',
  timeInForce: 'gtc',
  price: 400,
  lots: 2,
};

/** Fields that a slot of 64 bytes would change. */
const misfits: readonly (readonly [string, CommandBody])[] = [
  ['an account that would become another', openAccount(2 ** 32 + 1)],
  ['a price that would become another', { ...order, price: 2 ** 32 + 400 }],
  ['a price between two ticks', { ...order, price: 400.5 }],
  ['a price that is none', { ...order, price: Number.NaN }],
  ['a client order id above 2^64', { ...order, clientOrderId: 2n ** 64n }],
  ['a client order id below 0', { kind: 'cancel', account: 1, clientOrderId: -1n }],
  ['units above 2^63', { kind: 'credit', account: 1, asset: 0, units: 2n ** 63n, position: 1 }],
  ['units below -2^63', { kind: 'debit', account: 1, asset: 0, units: -(2n ** 63n) - 1n }],
  ['an asset that is none', { kind: 'debit', account: 1, asset: 0.5, units: 1n }],
  ['a market that would become another', { kind: 'cancel-all', account: 1, market: 2 ** 32 }],
  ['a fee tier that is none', { kind: 'set-account', account: 1, blocked: false, feeTier: 0.1 }],
  ['a band that would become another', { kind: 'set-band', market: 0, low: 1, high: 2 ** 31 }],
  ['a trigger that would become another', { ...order, type: 'stop-limit', triggerPrice: -(2 ** 31) - 1 }],
  ['a word that does not exist', { ...order, side: 'both' as 'buy' }],
  ['a state that does not exist', { kind: 'set-market', market: 0, state: 'shut' as 'halted' }],
];

describe('what is submitted', () => {
  test('without a connection is not sent', async () => {
    const { sequencer, server } = await serve();
    const relay = await Relay.to(server.port);
    relay.isRefusing = true;
    const { link } = connect(relay.url);
    expect(await codeOf(link.submit(command(0)))).toBe('MATCHING_LINK_DOWN');
    relay.isRefusing = false;
    await link.ready();
    await link.submit(command(0));
    relay.isRefusing = true;
    relay.cut();
    await until(() => !link.state().connected);
    expect(await codeOf(link.submit(command(1)))).toBe('MATCHING_LINK_DOWN');
    // What it has seen is still there.
    expect(link.view().seq).toBe(1);
    expect(sequencer.lastSeq).toBe(1);
  });

  test('to be taken by a command that the engine has passed is refused, all of a piece, however old the view', async () => {
    const { sequencer, url } = await serve();
    const { link } = connect(url);
    const other = connect(url).link;
    await link.ready();
    await other.ready();
    await link.submitAll(commands.slice(0, 16));
    expect(await link.submit(openAccount(5), { lastSeq: 17 })).toMatchObject([{ seq: 17 }]);
    expect(await codeOf(link.submit(openAccount(6), { lastSeq: 17 }))).toBe('MATCHING_COMMAND_LATE');
    expect(await codeOf(link.submitAll([order, order], { lastSeq: 18 }))).toBe('MATCHING_COMMAND_LATE');
    expect(sequencer.lastSeq).toBe(17);
    const answers = await link.submitAll([order, order], { lastSeq: 19 });
    expect(answers.map(([event]) => event?.seq)).toEqual([18, 19]);
    // What is on its way counts, not what is seen: one of both is too late.
    const both = await Promise.allSettled(
      [link, other].map(async (each) => await each.submit(order, { lastSeq: 20 })),
    );
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(both.find(({ status }) => status === 'rejected')).toMatchObject({
      reason: { code: 'MATCHING_COMMAND_LATE' },
    });
    expect(sequencer.lastSeq).toBe(20);
  });

  test('as orders while the settlement lags is refused, all of a piece; the rest is taken', async () => {
    let lags = false;
    const { sequencer, url } = await serve({ server: { settlementLags: () => lags } });
    const linked = connect(url);
    const { link } = linked;
    await link.ready();
    await link.submitAll(commands.slice(0, 16));
    const [placed] = await link.submit(order);
    const orderId = placed?.seq ?? 0;
    lags = true;
    const cancel: CommandBody = { kind: 'cancel', account: 1, orderId };
    expect(await codeOf(link.submit(order))).toBe('MATCHING_SETTLEMENT_LAGS');
    expect(await codeOf(link.submit({ kind: 'amend', account: 1, orderId, lots: 1 }))).toBe(
      'MATCHING_SETTLEMENT_LAGS',
    );
    expect(await codeOf(link.submitAll([cancel, order]))).toBe('MATCHING_SETTLEMENT_LAGS');
    await until(() => link.state().settlementLags);
    expect(sequencer.lastSeq).toBe(17);
    expect(await link.submitAll([cancel, openAccount(5)])).toMatchObject([
      [{ kind: 'done', order: orderId }],
      [{ kind: 'account-opened' }],
    ]);
    lags = false;
    await until(() => !link.state().settlementLags);
    expect(await link.submit(order)).toMatchObject([{ kind: 'accepted' }, { kind: 'rested' }]);
    await expectSame(linked, sequencer);
  });

  test('beyond what waits already is refused, here and at the engine', async () => {
    const disk = new HeldDisk();
    const { sequencer, url } = await serve({
      sequencer: { files: disk.files, limits: { queueCommands: 8 } },
    });
    const one = connect(url, { limits: { pendingCommands: 4 } });
    const other = connect(url);
    await Promise.all([one.link.ready(), other.link.ready()]);
    const taken = [one.link.submitAll(commands.slice(0, 3)), other.link.submitAll(commands.slice(3, 7))];
    await until(() => sequencer.lastSeq === 7);
    expect(await codeOf(one.link.submitAll(commands.slice(7, 9)))).toBe('MATCHING_BUSY');
    expect(await codeOf(other.link.submitAll(commands.slice(7, 9)))).toBe('MATCHING_BUSY');
    expect(sequencer.lastSeq).toBe(7);
    taken.push(one.link.submitAll(commands.slice(7, 8)));
    disk.letGo();
    expect((await Promise.all(taken)).flat()).toHaveLength(8);
    expect(await one.link.submitAll(commands.slice(8, 12))).toHaveLength(4);
    await expectSame(one, sequencer);
  });

  test('to a sequencer that has stopped is not taken', async () => {
    const { sequencer, url } = await serve({ server: { limits: { statusMs: 1_000_000 } } });
    const { link } = connect(url);
    await link.ready();
    await sequencer.close();
    expect(await codeOf(link.submit(command(0)))).toBe('MATCHING_STOPPED');
  });

  test('with a field that does not fit is an error here, and nothing of its piece is sent', async () => {
    const { sequencer, url } = await serve();
    const { link } = connect(url);
    await link.ready();
    for (const [what, wrong] of misfits) {
      await expect(link.submit(wrong), what).rejects.toThrow(RangeError);
      await expect(link.submitAll([openAccount(1), wrong]), what).rejects.toThrow(RangeError);
    }
    await link.submit(openAccount(1));
    expect(sequencer.lastSeq).toBe(1);
  });

  test('is at most 256 commands at once', async () => {
    const { link } = connect((await serve()).url);
    await link.ready();
    await expect(link.submitAll(commands.slice(0, 257))).rejects.toThrow('257 commands, at most 256');
    expect(await link.submitAll(commands.slice(0, 256))).toHaveLength(256);
  });
});

describe('when the connection is lost', () => {
  test('before the engine has said that it took it, its outcome is unknown; the view shows it', async () => {
    const { sequencer, server } = await serve();
    const relay = await Relay.to(server.port);
    const linked = connect(relay.url);
    await linked.link.ready();
    relay.hold();
    const outcome = codeOf(linked.link.submit(openAccount(1)));
    await until(() => sequencer.publishedSeq === 1);
    relay.cut();
    expect(await outcome).toBe('MATCHING_OUTCOME_UNKNOWN');
    await expectSame(linked, sequencer);
    expect(linked.link.view().account(1)).toBeDefined();
  });

  /** Submits a command whose taking the link knows of for certain, and whose flush is held. */
  async function takenNotDurable() {
    const disk = new HeldDisk();
    const folder = throwawayFolder();
    const served = await serve({
      folder,
      sequencer: { files: disk.files },
      server: { settlementLags: () => true },
    });
    atEnd(async () => disk.letGo());
    const relay = await Relay.to(served.server.port);
    const linked = connect(relay.url);
    await linked.link.ready();
    const written = linked.link.submit(openAccount(1));
    await until(() => disk.holds === 1);
    const queued = linked.link.submitAll([openAccount(2), openAccount(3)]);
    // Its answer comes after those of the two.
    expect(await codeOf(linked.link.submit(order))).toBe('MATCHING_SETTLEMENT_LAGS');
    return { ...served, disk, relay, linked, written, queued };
  }

  test('after it, the answer comes when the connection is back', async () => {
    const { disk, relay, linked, written, queued, sequencer } = await takenNotDurable();
    relay.cut();
    await until(() => !linked.link.state().connected);
    disk.letGo();
    expect(await written).toMatchObject([{ kind: 'account-opened', account: 1 }]);
    expect(await queued).toMatchObject([[{ account: 2 }], [{ account: 3 }]]);
    await expectSame(linked, sequencer);
  });

  test('with its process, what the journal has is answered, and what it has not was not taken', async () => {
    const { folder, relay, linked, written, queued } = await takenNotDurable();
    const lost = codeOf(queued);
    const next = await openSequencer({ folder, config: loadConfig, clock: { nowMs: () => 1 } });
    atEnd(async () => await next.close());
    const { server } = await serveAgain(next, folder);
    // Somebody else's command gets the number of the first that was lost.
    await next.submit(openAccount(7));
    relay.lead(server.port);
    relay.cut();
    expect(await written).toMatchObject([{ kind: 'account-opened', account: 1 }]);
    expect(await lost).toBe('MATCHING_STOPPED');
    await expectSame(linked, next);
    expect(linked.link.view().account(2)).toBeUndefined();
    expect(linked.link.view().seq).toBe(2);
  });

  test('for too long, its outcome is unknown', async () => {
    const disk = new HeldDisk();
    const { sequencer, url } = await serve({ sequencer: { files: disk.files } });
    const linked = connect(url, { limits: { answerMs: 100 } });
    await linked.link.ready();
    const outcomes = [codeOf(linked.link.submit(openAccount(1)))];
    await until(() => sequencer.lastSeq === 1);
    outcomes.push(codeOf(linked.link.submit(openAccount(2))));
    expect(await Promise.all(outcomes)).toEqual(['MATCHING_OUTCOME_UNKNOWN', 'MATCHING_OUTCOME_UNKNOWN']);
    disk.letGo();
    await expectSame(linked, sequencer);
    expect(await linked.link.submit(openAccount(3))).toHaveLength(1);
  });

  test('because it was closed, the outcome of what waits is unknown', async () => {
    const { disk, linked, written, queued } = await takenNotDurable();
    const outcomes = [codeOf(written), codeOf(queued)];
    await linked.link.close();
    expect(await Promise.all(outcomes)).toEqual(['MATCHING_OUTCOME_UNKNOWN', 'MATCHING_OUTCOME_UNKNOWN']);
    disk.letGo();
  });
});

describe('who serves now', () => {
  const limits = { pendingCommands: 100, answerMs: 1_000 };
  /** Commands 11 to 13 as epoch 3 has taken them. */
  function taken() {
    const submissions = new Submissions(limits);
    const { request, outcome } = submissions.add(3, 0);
    submissions.taken(request, 3, 11);
    let code = 'waits';
    void codeOf(outcome).then((found) => {
      code = found;
    });
    return {
      submissions,
      code: async () => {
        await new Promise((resolve) => setImmediate(resolve));
        return code;
      },
    };
  }
  const hello = { protocol: 1, semantics: 1, configHash: '', engineName: 'main', seq: 50, hashEvery: 1 };

  test.each([
    ['the same', { epoch: 3, epochBefore: 2, epochFirstSeq: 5 }, 'waits'],
    ['the next, which has all of it', { epoch: 4, epochBefore: 3, epochFirstSeq: 14 }, 'waits'],
    [
      'the next, which has nothing of it',
      { epoch: 5, epochBefore: 3, epochFirstSeq: 11 },
      'MATCHING_STOPPED',
    ],
    [
      'the next, which has a part of it',
      { epoch: 4, epochBefore: 3, epochFirstSeq: 12 },
      'MATCHING_OUTCOME_UNKNOWN',
    ],
    ['one after others', { epoch: 5, epochBefore: 4, epochFirstSeq: 40 }, 'MATCHING_OUTCOME_UNKNOWN'],
  ])('decides what is known of a command: %s', async (_, of, code) => {
    const waiting = taken();
    waiting.submissions.follow({ ...hello, ...of });
    expect(await waiting.code()).toBe(code);
  });

  test('may have begun anew before it: what was seen of it already is told once', async () => {
    const submissions = new Submissions(limits);
    const { request, outcome } = submissions.add(2, 0);
    submissions.taken(request, 3, 1);
    const slots = commandSlots(new ArrayBuffer(2 * commandBytes));
    for (const at of [0, 1]) writeCommand(slots, at, sequenced(openAccount(at + 1), at + 1, 1));
    const see = (count: number): void => {
      const engine = createEngine(loadConfig);
      for (let at = 0; at < count; at++) engine.submit(slots, at);
      engine.drainEvents((events, seen) => submissions.see(events, seen));
      submissions.settle(count);
    };
    see(1);
    submissions.skipped(0);
    see(2);
    expect(await outcome).toMatchObject([
      [{ kind: 'account-opened', account: 1 }],
      [{ kind: 'account-opened', account: 2 }],
    ]);
    expect((await outcome).map(({ length }) => length)).toEqual([1, 1]);
  });

  test('may have begun anew behind it', async () => {
    const waiting = taken();
    waiting.submissions.skipped(10);
    expect(await waiting.code()).toBe('waits');
    waiting.submissions.skipped(11);
    expect(await waiting.code()).toBe('MATCHING_OUTCOME_UNKNOWN');
    expect(() => waiting.submissions.assertRoom(100)).not.toThrow();
    expect(() => waiting.submissions.assertRoom(101)).toThrow(
      expect.objectContaining({ code: 'MATCHING_BUSY' }),
    );
  });
});
