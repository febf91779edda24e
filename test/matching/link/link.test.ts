import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { CommandBody } from '../../../matching/commands.ts';
import { readEvent } from '../../../matching/events.ts';
import { nodeFiles } from '../../../matching/journal/index.ts';
import { closeCode } from '../../../matching/link/wire.ts';
import { openSequencer, type Sequencer } from '../../../matching/sequencer/index.ts';
import { loadConfig } from '../../support/matching-load.ts';
import { bodies, flipped, HeldDisk, throwawayFolder, until } from '../journal/fixture.ts';
import { atEnd, codeOf, connect, expectSame, published, serve, serveAgain } from './fixture.ts';
import { Relay } from './relay.ts';

const commands = bodies(3_000);

async function submit(sequencer: Sequencer, from: number, to: number): Promise<void> {
  for (let at = from; at < to; at += 250)
    await Promise.all(
      commands.slice(at, Math.min(at + 250, to)).map(async (body) => await sequencer.submit(body)),
    );
}
const command = (at: number): CommandBody => commands[at] as CommandBody;
async function openAgain(folder: string): Promise<Sequencer> {
  const sequencer = await openSequencer({ folder, config: loadConfig, clock: { nowMs: () => Date.now() } });
  atEnd(async () => await sequencer.close());
  return sequencer;
}

describe('a link', () => {
  test('shows the state of the engine, and answers what is submitted with its events', async () => {
    const { sequencer, url } = await serve();
    const expected = published(sequencer);
    await submit(sequencer, 0, 100);
    const linked = connect(url);
    const { link, events, resets } = linked;
    expect(() => link.view()).toThrow(expect.objectContaining({ code: 'MATCHING_LINK_DOWN' }));
    expect(() => link.engineName).toThrow(expect.objectContaining({ code: 'MATCHING_LINK_DOWN' }));
    expect(link.state()).toEqual({ connected: false, epoch: 0, settlementLags: false });
    await link.ready();
    expect(link.engineName).toBe('main');
    expect(link.state()).toEqual({ connected: true, epoch: 1, settlementLags: false });
    const answers = await Promise.all(commands.slice(100, 200).map(async (body) => await link.submit(body)));
    const all = await link.submitAll(commands.slice(200, 300));
    expect(await link.submitAll([])).toEqual([]);
    await expectSame(linked, sequencer);
    expect(all).toHaveLength(100);
    expect([...answers.flat(), ...all.flat()]).toEqual(expected.filter(({ seq }) => seq > 100));
    expect(events).toEqual(expected);
    expect(resets).toEqual([0]);
  });

  test('has applied a command, and has told its listeners, when its events are answered', async () => {
    const { url } = await serve();
    const { link, events } = connect(url);
    await link.ready();
    for (const body of commands.slice(0, 60)) {
      const answer = await link.submit(body);
      expect(link.view().seq).toBeGreaterThanOrEqual(answer[0]?.seq ?? Number.MAX_SAFE_INTEGER);
      expect(events.slice(-answer.length)).toEqual(answer);
    }
  });

  test('gives what is submitted at once numbers without others between them', async () => {
    const { sequencer, url } = await serve();
    const [one, other] = [connect(url), connect(url)];
    await Promise.all([one.link.ready(), other.link.ready()]);
    await submit(sequencer, 0, 16);
    const pieces = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const { link } = index % 2 === 0 ? one : other;
        return await link.submitAll(commands.slice(16 + index * 40, 16 + (index + 1) * 40));
      }),
    );
    for (const piece of pieces) {
      const numbers = piece.map(([event]) => event?.seq ?? 0);
      expect(numbers).toEqual(Array.from({ length: 40 }, (_, at) => (numbers[0] ?? 0) + at));
    }
    await expectSame(one, sequencer);
    await expectSame(other, sequencer);
  });

  test('shows and tells nothing before it is durable', async () => {
    const disk = new HeldDisk();
    const { sequencer, url } = await serve({ sequencer: { files: disk.files } });
    const { link, events } = connect(url);
    await link.ready();
    let answers = 0;
    const all = commands.slice(0, 3).map((body) => link.submit(body).then(() => answers++));
    await until(() => disk.holds === 1 && sequencer.lastSeq === 3);
    all.push(...commands.slice(3, 5).map((body) => link.submit(body).then(() => answers++)));
    await until(() => sequencer.lastSeq === 5);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect([link.view().seq, events.length, answers]).toEqual([0, 0, 0]);
    disk.release();
    await until(() => answers === 3 && disk.holds === 1);
    // Neither to one that begins now.
    const late = connect(url);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect([link.view().seq, events.length, answers]).toEqual([3, 3, 3]);
    expect(late.events).toEqual([]);
    disk.letGo();
    await Promise.all(all);
    expect([link.view().seq, answers]).toEqual([5, 5]);
    await expectSame(late, sequencer);
  });

  test('takes a listener that throws off its list; the others get everything', async () => {
    const { sequencer, url } = await serve();
    const { link, notices, events } = connect(url);
    link.subscribe({
      onEvents: () => {
        throw new Error('broken feed');
      },
      onReset: () => undefined,
    });
    const end = link.subscribe({ onEvents: () => expect.unreachable(), onReset: () => undefined });
    end();
    await link.ready();
    await submit(sequencer, 0, 10);
    await until(() => events.length === 10);
    expect(notices.filter(({ kind }) => kind === 'listener-failed')).toEqual([
      expect.objectContaining({ problem: 'broken feed' }),
    ]);
  });

  test('that is closed is over', async () => {
    const { server, url, notices } = await serve();
    const { link } = connect(url);
    await link.ready();
    await link.close();
    expect(link.state().connected).toBe(false);
    expect(await codeOf(link.submit(commands[0] as CommandBody))).toBe('MATCHING_LINK_DOWN');
    await until(() => notices.some(({ kind }) => kind === 'client-gone'));
    const never = connect('ws://127.0.0.1:9');
    const ready = codeOf(never.link.ready());
    await never.link.close();
    expect(await ready).toBe('MATCHING_LINK_DOWN');
    expect(await codeOf(never.link.ready())).toBe('MATCHING_LINK_DOWN');
    await server.close();
  });
});

describe('a view', () => {
  test('begins with a snapshot and the journal behind it', async () => {
    const served = await serve({
      sequencer: { limits: { snapshotEvery: 700, segmentBytes: 16_384 } },
      server: { limits: { recentCommands: 64 } },
    });
    await submit(served.sequencer, 0, 3_000);
    await until(() => served.sequencer.publishedSeq === 3_000);
    const linked = connect(served.url);
    await linked.link.ready();
    expect(linked.resets).toEqual([2_800]);
    expect(linked.events[0]?.seq).toBe(2_801);
    await expectSame(linked, served.sequencer);
  });

  test('goes on without a gap after its connection was cut', async () => {
    const { sequencer, server } = await serve();
    const expected = published(sequencer);
    const relay = await Relay.to(server.port);
    const linked = connect(relay.url);
    await linked.link.ready();
    for (let round = 0; round < 6; round++) {
      await submit(sequencer, round * 100, round * 100 + 50);
      await until(() => linked.link.view().seq > round * 100);
      relay.cut();
      await submit(sequencer, round * 100 + 50, (round + 1) * 100);
      await expectSame(linked, sequencer);
    }
    expect(linked.resets).toEqual([0]);
    expect(linked.events).toEqual(expected);
    expect(linked.notices.filter(({ kind }) => kind === 'connected')).toHaveLength(relay.connections);
  });

  test('goes on with the journal when memory has not enough', async () => {
    const { sequencer, server } = await serve({
      sequencer: { limits: { segmentBytes: 16_384 } },
      server: { limits: { recentCommands: 64 } },
    });
    const expected = published(sequencer);
    const relay = await Relay.to(server.port);
    const linked = connect(relay.url);
    await submit(sequencer, 0, 50);
    await until(() => linked.events.length > 0 && linked.link.view().seq === 50);
    relay.isRefusing = true;
    relay.cut();
    await submit(sequencer, 50, 2_000);
    relay.isRefusing = false;
    await expectSame(linked, sequencer);
    expect(linked.resets).toEqual([0]);
    expect(linked.events).toEqual(expected);
  });

  test('catches up while commands keep coming', async () => {
    const served = await serve({
      sequencer: { limits: { segmentBytes: 16_384, snapshotEvery: 1_000 } },
      server: { limits: { recentCommands: 256 } },
    });
    const { sequencer } = served;
    await submit(sequencer, 0, 1_500);
    const end = new AbortController();
    const over = end.signal;
    let at = 1_500;
    const load = (async () => {
      for (; at < commands.length && !over.aborted; at++) await sequencer.submit(command(at));
    })();
    const linked = connect(served.url);
    await linked.link.ready();
    const readyAt = linked.link.view().seq;
    await until(() => linked.link.view().seq > readyAt + 100);
    end.abort();
    await load;
    await expectSame(linked, sequencer);
    expect(linked.resets).toEqual([1_000]);
    expect(linked.notices.filter(({ kind }) => kind === 'disconnected')).toEqual([]);
  });

  test('begins with the snapshot before one that is damaged; without history it does not begin', async () => {
    const { sequencer, folder, url, notices } = await serve({
      sequencer: { limits: { segmentBytes: 16_384, snapshotEvery: 500, snapshotsKept: 2, segmentsKept: 0 } },
      server: { limits: { recentCommands: 64 } },
    });
    await submit(sequencer, 0, 2_000);
    await until(() => existsSync(path.join(folder, '0000000000002000.snapshot')));
    const newest = path.join(folder, '0000000000002000.snapshot');
    const bytes = readFileSync(newest);
    writeFileSync(newest, flipped(200)(bytes));
    const linked = connect(url);
    await linked.link.ready();
    expect(linked.resets).toEqual([1_500]);
    await expectSame(linked, sequencer);
    expect(notices).toContainEqual(
      expect.objectContaining({ kind: 'snapshot-skipped', snapshot: '0000000000002000.snapshot' }),
    );
    for (const name of nodeFiles.list(folder))
      if (name.endsWith('.snapshot')) rmSync(path.join(folder, name));
    const without = connect(url);
    await until(() =>
      notices.some((notice) => notice.kind === 'client-gone' && notice.code === closeCode.noHistory),
    );
    expect(without.link.state().connected).toBe(false);
    expect(without.resets).toEqual([]);
    // The one that is there goes on.
    await submit(sequencer, 0, 10);
    await expectSame(linked, sequencer);
    expect(linked.resets).toEqual([1_500]);
  });

  test('notices that nothing is heard any more, and goes on', async () => {
    const { sequencer, server } = await serve();
    const relay = await Relay.to(server.port);
    const linked = connect(relay.url, { limits: { silentMs: 300 } });
    await linked.link.ready();
    await submit(sequencer, 0, 20);
    await expectSame(linked, sequencer);
    relay.hold();
    await submit(sequencer, 20, 40);
    await until(() =>
      linked.notices.some(
        (notice) => notice.kind === 'disconnected' && notice.problem.startsWith('nothing was heard'),
      ),
    );
    relay.release();
    await expectSame(linked, sequencer);
    expect(linked.resets).toEqual([0]);
  });

  test('begins anew when what it needs was removed', async () => {
    const { sequencer, server } = await serve({
      sequencer: {
        limits: { segmentBytes: 16_384, snapshotEvery: 300, snapshotsKept: 2, segmentsKept: 0 },
      },
      server: { limits: { recentCommands: 64 } },
    });
    const relay = await Relay.to(server.port);
    const linked = connect(relay.url);
    await submit(sequencer, 0, 50);
    await until(() => linked.events.length > 0 && linked.link.view().seq === 50);
    relay.isRefusing = true;
    relay.cut();
    await submit(sequencer, 50, 3_000);
    relay.isRefusing = false;
    await expectSame(linked, sequencer);
    expect(linked.resets).toEqual([0, 3_000]);
    await submit(sequencer, 0, 100);
    await expectSame(linked, sequencer);
    expect(linked.events[0]).toMatchObject({ seq: 3_001, index: 0 });
  });

  test('goes on with the next process, also when its address is another', async () => {
    const folder = throwawayFolder();
    const first = await serve({ folder });
    const expected = published(first.sequencer);
    const relay = await Relay.to(first.server.port);
    // Nobody listens at the first address: a standby.
    const linked = connect(['ws://127.0.0.1:9', relay.url]);
    await linked.link.ready();
    await submit(first.sequencer, 0, 500);
    await first.server.close();
    await submit(first.sequencer, 500, 600);
    await first.sequencer.close();
    const sequencer = await openAgain(folder);
    sequencer.subscribe((slots, from, count) => {
      for (let at = from; at < from + count; at++) expected.push(readEvent(slots, at));
    });
    const { server } = await serveAgain(sequencer, folder);
    relay.lead(server.port);
    await until(() => linked.link.state().epoch === 2 && linked.link.state().connected);
    await linked.link.submitAll(commands.slice(600, 700));
    await expectSame(linked, sequencer);
    expect(linked.resets).toEqual([0]);
    expect(linked.events).toEqual(expected);
  });

  test('does not follow a process whose epoch is over', async () => {
    const folder = throwawayFolder();
    await (await openAgain(folder)).close();
    const now = await serve({ folder });
    const past = await serve();
    const relay = await Relay.to(now.server.port);
    const linked = connect(relay.url);
    await linked.link.ready();
    await submit(now.sequencer, 0, 20);
    await expectSame(linked, now.sequencer);
    relay.lead(past.server.port);
    relay.cut();
    await until(() =>
      linked.notices.some(
        (notice) => notice.kind === 'disconnected' && notice.problem.includes('epoch 1 is over'),
      ),
    );
    expect(linked.link.state()).toMatchObject({ connected: false, epoch: 2 });
    expect(linked.link.view().seq).toBe(20);
    relay.lead(now.server.port);
    await expectSame(linked, now.sequencer);
    expect(linked.resets).toEqual([0]);
  });

  test('is not had from a primary that was fenced while it was idle', async () => {
    const folder = throwawayFolder();
    const old = await serve({ folder, server: { limits: { statusMs: 1_000_000 } } });
    const before = connect(old.url);
    await before.link.ready();
    const sequencer = await openAgain(folder);
    const next = await serveAgain(sequencer, folder);
    await submit(sequencer, 0, 20);
    const linked = connect([old.url, next.url]);
    await linked.link.ready();
    expect(linked.link.state().epoch).toBe(2);
    await expectSame(linked, sequencer);
    // And those it had are sent away.
    await until(() => !before.link.state().connected);
    const stopped = old.notices.find((notice) => notice.kind === 'stopped');
    expect(stopped?.problem).toMatch(/epoch 1/);
  });

  test.each([
    ['compared after every so many commands', 8],
    ['compared while nothing happens', 1 << 20],
  ])('that is not the engine is noticed and replaced: %s', async (_, hashEvery) => {
    const { sequencer, server } = await serve({ sequencer: { limits: { hashEvery } } });
    const relay = await Relay.to(server.port);
    const linked = connect(relay.url);
    await linked.link.ready();
    await submit(sequencer, 0, 20);
    await until(() => linked.link.view().seq === 20);
    // One order of 7 lots arrives as one of 8.
    const order: CommandBody = {
      kind: 'place',
      account: 1,
      market: 0,
      side: 'buy',
      type: 'limit',
      timeInForce: 'gtc',
      price: 7,
      lots: 7,
      clientOrderId: 0x7e57_7e57_7e57n,
    };
    const seven = Buffer.alloc(8);
    seven.writeDoubleLE(7);
    let changed = 0;
    relay.change = (bytes) => {
      const id = bytes.indexOf(Buffer.from('577e577e577e0000', 'hex'));
      const at = id < 0 ? -1 : bytes.lastIndexOf(seven, id);
      if (at < 0 || changed > 0) return bytes;
      changed++;
      const other = Buffer.from(bytes);
      other.writeDoubleLE(8, at);
      return other;
    };
    await sequencer.submit(order);
    await until(() => changed === 1);
    await submit(sequencer, 20, 40);
    await until(() => linked.notices.some(({ kind }) => kind === 'diverged'));
    await expectSame(linked, sequencer);
    expect(linked.resets).toEqual([0, 0]);
    expect(linked.link.view().level(0, 'buy', 7)).toMatchObject({ lots: 7 });
    // The events of the wrong one are not in what followed the reset.
    expect(linked.events.filter(({ seq }) => seq === 21)).toContainEqual(
      expect.objectContaining({ kind: 'accepted', lots: 7 }),
    );
  });
});
