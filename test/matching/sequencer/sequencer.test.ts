import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type CommandBody, commandBytes, commandSlots, writeCommand } from '../../../matching/commands.ts';
import { createEngine } from '../../../matching/engine/index.ts';
import { type EngineEvent, type EventSlots, readEvent } from '../../../matching/events.ts';
import { claimEpoch, nodeFiles, replayEvents } from '../../../matching/journal/index.ts';
import { JournalReader } from '../../../matching/journal/reader.ts';
import {
  openSequencer,
  type Sequencer,
  type SequencerNotice,
  type SequencerOptions,
} from '../../../matching/sequencer/index.ts';
import { loadConfig, sequenced } from '../../support/matching-load.ts';
import { bodies, configHash, HeldDisk, segmentsOf, throwawayFolder, until } from '../journal/fixture.ts';

const commands = bodies(3_000);
const open: Sequencer[] = [];
afterEach(async () => {
  for (const sequencer of open.splice(0)) await sequencer.close().catch(() => undefined);
});

/** A clock that ticks with every look, and can be set back. */
function clockFrom(startMs: number) {
  let nowMs = startMs;
  return {
    nowMs: () => nowMs++,
    set: (toMs: number) => {
      nowMs = toMs;
    },
  };
}

async function start(options: Partial<SequencerOptions> = {}): Promise<Sequencer> {
  const sequencer = await openSequencer({
    folder: throwawayFolder(),
    config: loadConfig,
    clock: clockFrom(1_000),
    ...options,
  });
  open.push(sequencer);
  return sequencer;
}

function collect(sequencer: Sequencer): EngineEvent[] {
  const events: EngineEvent[] = [];
  sequencer.subscribe(append(events));
  return events;
}
const append =
  (events: EngineEvent[]) =>
  (slots: EventSlots, from: number, count: number): void => {
    for (let at = from; at < from + count; at++) events.push(readEvent(slots, at));
  };

/** What an engine alone makes of the commands; `perTick` of them have the same time. */
function plain(all: readonly CommandBody[], perTick = 1) {
  const engine = createEngine(loadConfig);
  const slots = commandSlots(new ArrayBuffer(commandBytes));
  const events = all.map((body, index) => {
    writeCommand(slots, 0, sequenced(body, index + 1, 1_000 + Math.floor(index / perTick)));
    engine.submit(slots, 0);
    const written: EngineEvent[] = [];
    engine.drainEvents((drained, count) => append(written)(drained, 0, count));
    return written;
  });
  return { events, hash: engine.stateHash() };
}

function filled(all: readonly CommandBody[]) {
  const slots = commandSlots(new ArrayBuffer(all.length * commandBytes));
  all.forEach((body, at) => {
    writeCommand(slots, at, sequenced(body, 0, 0));
  });
  return slots;
}

const gapless = (events: readonly EngineEvent[]): boolean =>
  events.every(({ seq, index }, at) => {
    const before = events[at - 1];
    if (before === undefined) return index === 0;
    return seq === before.seq ? index === before.index + 1 : seq === before.seq + 1 && index === 0;
  });

function noSpace(): never {
  throw new Error('ENOSPC');
}

/** Of the commands in the journal. */
const lastTimes = (folder: string): number[] => {
  const times: number[] = [];
  const { timeMs } = replayEvents({
    files: nodeFiles,
    folder,
    config: loadConfig,
    fromSeq: 1,
    onEvents: () => undefined,
  });
  times.push(timeMs);
  return times;
};

describe('a sequencer', () => {
  test('answers each command with the events an engine alone gives, publishes them in order, and goes on after a restart', async () => {
    const folder = throwawayFolder();
    const { events: expected, hash } = plain(commands);
    const half = 1_500;
    const clock = clockFrom(1_000);
    const first = await start({ folder, clock });
    const events = collect(first);
    const answers = await Promise.all(commands.slice(0, half).map(async (body) => await first.submit(body)));
    expect(answers).toEqual(expected.slice(0, half));
    await first.close();
    const second = await start({ folder, clock });
    expect(second.recovered).toMatchObject({ nextSeq: half + 1, epoch: 1 });
    expect(second.epoch).toBe(2);
    second.subscribe(append(events));
    for (let at = half; at < commands.length; at += 250)
      await Promise.all(commands.slice(at, at + 250).map(async (body) => await second.submit(body)));
    expect(events).toEqual(expected.flat());
    expect(gapless(events)).toBe(true);
    expect(await second.state()).toMatchObject({ seq: commands.length, hash });
  });

  test('takes slots in bulk, rotates, snapshots, prunes and recovers the same', async () => {
    const folder = throwawayFolder();
    const notices: SequencerNotice[] = [];
    const limits = {
      segmentBytes: 16_384,
      hashEvery: 64,
      snapshotEvery: 700,
      snapshotsKept: 2,
      segmentsKept: 1,
      queueEvents: 128,
    };
    const sequencer = await start({ folder, limits, onNotice: (notice) => notices.push(notice) });
    const events = collect(sequencer);
    const slots = filled(commands);
    for (let from = 0; from < commands.length; from += 100)
      await sequencer.published(sequencer.submitSlots(slots, from, 100));
    const { hash, seq } = await sequencer.state();
    const expected = plain(commands, 100);
    expect({ hash, seq }).toEqual({ hash: expected.hash, seq: commands.length });
    expect(events).toEqual(expected.events.flat());
    await sequencer.close();
    expect(notices.flatMap((notice) => (notice.kind === 'snapshot-named' ? [notice.seq] : []))).toEqual([
      700, 1400, 2100, 2800,
    ]);
    expect(notices.some(({ kind }) => kind === 'files-removed')).toBe(true);
    expect(Number.parseInt(segmentsOf(folder)[0] ?? '0', 10)).toBeGreaterThan(1_000);
    const again = await start({ folder, limits });
    expect(again.recovered).toMatchObject({ stateHash: hash, nextSeq: commands.length + 1 });
    // The closing one at least.
    expect(again.recovered.hashesCompared).toBeGreaterThan(0);
  });

  test('names a snapshot and records a state hash only when the commands behind it are durable', async () => {
    const folder = throwawayFolder();
    const disk = new HeldDisk();
    const sequencer = await start({ folder, files: disk.files, limits: { snapshotEvery: 2, hashEvery: 2 } });
    const snapshots = (ending: string) =>
      nodeFiles.list(folder).filter((name) => name.endsWith(ending)).length;
    const answers = [sequencer.submit(commands[0] as CommandBody)];
    await until(() => disk.holds === 1);
    answers.push(...commands.slice(1, 4).map(async (body) => await sequencer.submit(body)));
    // The engine is ahead: it has written both.
    await until(() => snapshots('.snapshot.tmp') === 2);
    expect(snapshots('.snapshot')).toBe(0);
    disk.release();
    await until(() => disk.holds === 1);
    await answers[0];
    expect(snapshots('.snapshot')).toBe(0);
    disk.letGo();
    await Promise.all(answers);
    await until(() => snapshots('.snapshot') === 2);
    await sequencer.close();
    const recorded: number[] = [];
    new JournalReader({ files: nodeFiles, folder, configHash, afterSeq: 0 }).finish(
      ({ stateHash, firstSeq }) => {
        if (stateHash === undefined) return;
        expect(stateHash.seq).toBeLessThan(firstSeq);
        recorded.push(stateHash.seq);
      },
      () => undefined,
    );
    expect(recorded.at(-1)).toBe(4);
  });

  test('of a fenced primary no snapshot is named', async () => {
    const folder = throwawayFolder();
    const disk = new HeldDisk();
    const sequencer = await start({ folder, files: disk.files, limits: { snapshotEvery: 1 } });
    const refused = expect(sequencer.submit(commands[0] as CommandBody)).rejects.toMatchObject({
      code: 'MATCHING_FENCED',
    });
    await until(
      () => disk.holds === 1 && nodeFiles.list(folder).some((name) => name.endsWith('.snapshot.tmp')),
    );
    claimEpoch(nodeFiles, folder, 'another');
    disk.letGo();
    await refused;
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(nodeFiles.list(folder).filter((name) => name.endsWith('.snapshot'))).toEqual([]);
  });

  test('goes on when a snapshot cannot be named', async () => {
    const notices: SequencerNotice[] = [];
    const files = {
      ...nodeFiles,
      rename: () => {
        throw new Error('ENOSPC');
      },
    };
    const limits = { snapshotEvery: 10 };
    const sequencer = await start({ files, limits, onNotice: (notice) => notices.push(notice) });
    for (const body of commands.slice(0, 15)) await sequencer.submit(body);
    await until(() => notices.length > 0);
    expect(notices).toEqual([{ kind: 'snapshot-failed', seq: 10, problem: 'ENOSPC' }]);
  });

  test('gives no time before the one it gave last, also after a restart', async () => {
    const folder = throwawayFolder();
    const clock = clockFrom(5_000);
    const first = await start({ folder, clock });
    await first.submit(commands[0] as CommandBody);
    clock.set(100);
    await first.submit(commands[1] as CommandBody);
    await first.close();
    expect(lastTimes(folder)).toEqual([5_000]);
    const second = await start({ folder, clock });
    await second.submit(commands[2] as CommandBody);
    await second.close();
    expect(lastTimes(folder)).toEqual([5_000]);
  });

  test('answers questions about accounts and books when what they rest on is durable', async () => {
    const disk = new HeldDisk();
    const sequencer = await start({ files: disk.files });
    const done = Promise.all(commands.slice(0, 40).map(async (body) => await sequencer.submit(body)));
    await until(() => disk.holds === 1);
    let answered = false;
    const balance = sequencer.balance(1, 2).then((found) => {
      answered = true;
      return found;
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(answered).toBe(false);
    disk.letGo();
    const { available, held } = await balance;
    expect(available + held).toBeGreaterThan(0n);
    await done;
    expect((await sequencer.levels(0, 'buy', 5)).length).toBeGreaterThan(0);
  });
});

describe('publication', () => {
  test('waits for the flush: no event and no answer before', async () => {
    const disk = new HeldDisk();
    const sequencer = await start({ files: disk.files });
    const events = collect(sequencer);
    let answers = 0;
    const all = commands.slice(0, 3).map((body) => sequencer.submit(body).then(() => answers++));
    await until(() => disk.holds === 1);
    // The engine is through with these before the first ones are durable.
    all.push(...commands.slice(3, 5).map((body) => sequencer.submit(body).then(() => answers++)));
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect([events.length, answers, sequencer.publishedSeq]).toEqual([0, 0, 0]);
    disk.release();
    await until(() => disk.holds === 1);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect([events.length, answers, sequencer.publishedSeq]).toEqual([3, 3, 3]);
    disk.letGo();
    await Promise.all(all);
    expect([answers, sequencer.publishedSeq]).toEqual([5, 5]);
    expect(events.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5]);
  });

  test('a queue that is full refuses and loses nothing', async () => {
    const disk = new HeldDisk();
    const sequencer = await start({ files: disk.files, limits: { queueCommands: 4 } });
    const taken = commands.slice(0, 4).map(async (body) => await sequencer.submit(body));
    await expect(sequencer.submit(commands[4] as CommandBody)).rejects.toMatchObject({
      code: 'MATCHING_BUSY',
      retryable: true,
    });
    expect(() => sequencer.submitSlots(filled(commands), 4, 1)).toThrow(
      expect.objectContaining({ code: 'MATCHING_BUSY' }),
    );
    expect(sequencer.lastSeq).toBe(4);
    disk.letGo();
    expect((await Promise.all(taken)).map(([event]) => event?.seq)).toEqual([1, 2, 3, 4]);
    expect((await sequencer.submit(commands[4] as CommandBody))[0]?.seq).toBe(5);
  });

  test('a ring smaller than the events of one command makes the engine wait', async () => {
    const sequencer = await start({ limits: { queueEvents: 2 } });
    const events = collect(sequencer);
    const opening = commands.slice(0, 16);
    for (const body of opening) await sequencer.submit(body);
    const order = { kind: 'place', market: 0, type: 'limit', timeInForce: 'gtc', price: 500 } as const;
    for (let lots = 1; lots <= 20; lots++)
      await sequencer.submit({ ...order, account: 1, side: 'sell', lots });
    const sweep = await sequencer.submit({ ...order, account: 2, side: 'buy', lots: 300 });
    expect(sweep.map(({ kind }) => kind)).toEqual([
      'accepted',
      ...Array.from({ length: 20 }, () => 'trade'),
      'rested',
    ]);
    expect(gapless(events)).toBe(true);
    expect(events.slice(-sweep.length)).toEqual(sweep);
  });

  test('a listener that throws is taken off, the others get everything', async () => {
    const notices: SequencerNotice[] = [];
    const sequencer = await start({ onNotice: (notice) => notices.push(notice) });
    sequencer.subscribe(() => {
      throw new Error('broken gateway');
    });
    const events = collect(sequencer);
    for (const body of commands.slice(0, 5)) await sequencer.submit(body);
    expect(events).toHaveLength(5);
    expect(notices).toEqual([{ kind: 'listener-failed', problem: 'broken gateway', seq: 1 }]);
  });

  test('events can be had again from the journal, as they were published', async () => {
    const folder = throwawayFolder();
    const sequencer = await start({ folder, limits: { snapshotEvery: 100 } });
    const events = collect(sequencer);
    await Promise.all(commands.slice(0, 500).map(async (body) => await sequencer.submit(body)));
    for (const fromSeq of [1, 101, 350]) {
      const again: EngineEvent[] = [];
      replayEvents({ files: nodeFiles, folder, config: loadConfig, fromSeq, onEvents: append(again) });
      expect(again).toEqual(events.filter(({ seq }) => seq >= fromSeq));
    }
  });
});

describe('durable commands', () => {
  /** Sequence number and client order id of each, and whether an event of theirs was seen before. */
  function follow(sequencer: Sequencer) {
    const heard: { seq: number; clientOrderId: bigint; lastEventSeq: number; durableSeq: number }[] = [];
    let lastEventSeq = 0;
    sequencer.subscribe((slots, from, count) => {
      lastEventSeq = slots.float64[(from + count - 1) * 12] ?? 0;
    });
    const end = sequencer.subscribeCommands(({ float64, bigInt64 }, from, count) => {
      for (let at = from; at < from + count; at++)
        heard.push({
          seq: float64[at * 8] ?? 0,
          clientOrderId: bigInt64[at * 8 + 4] ?? 0n,
          lastEventSeq,
          durableSeq: sequencer.durableSeq,
        });
    });
    return { heard, end };
  }
  const clientOrderIdOf = (body: CommandBody): bigint =>
    'clientOrderId' in body ? (body.clientOrderId ?? 0n) : 0n;

  test('are each given once, in order, before their events, also around the end of the ring', async () => {
    const sequencer = await start({ limits: { queueCommands: 64, hashEvery: 32 } });
    const { heard, end } = follow(sequencer);
    const slots = filled(commands);
    for (let from = 0; from < 1_000; from += 50)
      await sequencer.published(sequencer.submitSlots(slots, from, 50));
    expect(heard.map(({ seq }) => seq)).toEqual(Array.from({ length: 1_000 }, (_, index) => index + 1));
    expect(heard.map(({ clientOrderId }) => clientOrderId)).toEqual(
      commands.slice(0, 1_000).map(clientOrderIdOf),
    );
    for (const { seq, lastEventSeq, durableSeq } of heard) {
      expect(lastEventSeq).toBeLessThan(seq);
      expect(durableSeq).toBeGreaterThanOrEqual(seq);
    }
    await until(() => (sequencer.recordedHash?.seq ?? 0) >= 960);
    expect(sequencer.hashEvery).toBe(32);
    end();
    await sequencer.submit(commands[1_000] as CommandBody);
    expect(heard).toHaveLength(1_000);
  });

  test('are not given before the flush, and all of them are when it has returned', async () => {
    const disk = new HeldDisk();
    const sequencer = await start({ files: disk.files });
    const { heard } = follow(sequencer);
    const all = commands.slice(0, 3).map(async (body) => await sequencer.submit(body));
    await until(() => disk.holds === 1);
    all.push(...commands.slice(3, 5).map(async (body) => await sequencer.submit(body)));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect([heard.length, sequencer.durableSeq]).toEqual([0, 0]);
    disk.release();
    await until(() => disk.holds === 1);
    expect([heard.length, sequencer.durableSeq]).toEqual([3, 3]);
    disk.letGo();
    await Promise.all(all);
    expect([heard.length, sequencer.durableSeq]).toEqual([5, 5]);
  });

  test('of a fenced primary are given to nobody', async () => {
    const folder = throwawayFolder();
    const sequencer = await start({ folder });
    const { heard } = follow(sequencer);
    claimEpoch(nodeFiles, folder, 'another');
    await expect(sequencer.submit(commands[0] as CommandBody)).rejects.toMatchObject({
      code: 'MATCHING_FENCED',
    });
    expect(heard).toEqual([]);
  });

  test('go to the others when a listener throws', async () => {
    const notices: SequencerNotice[] = [];
    const sequencer = await start({ onNotice: (notice) => notices.push(notice) });
    for (const body of commands.slice(0, 2)) await sequencer.submit(body);
    sequencer.subscribeCommands(() => {
      throw new Error('broken link');
    });
    const { heard } = follow(sequencer);
    for (const body of commands.slice(2, 5)) await sequencer.submit(body);
    expect(heard.map(({ seq }) => seq)).toEqual([3, 4, 5]);
    expect(notices).toEqual([{ kind: 'listener-failed', problem: 'broken link', seq: 3 }]);
  });
});

test('an open removes what a process before has left half done, and says so', async () => {
  const folder = throwawayFolder();
  await (await start({ folder })).close();
  const leftovers = ['5-0000000001.snapshot.tmp', 'epoch-0000000001-of-x.tmp', 'epoch-0000000002-of-y.tmp'];
  for (const name of leftovers) nodeFiles.writeFlushed(path.join(folder, name), []);
  const notices: SequencerNotice[] = [];
  await start({ folder, onNotice: (notice) => notices.push(notice) });
  expect(notices).toEqual([{ kind: 'files-removed', names: expect.arrayContaining(leftovers) as unknown }]);
  expect(nodeFiles.list(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
});

describe('the end', () => {
  test('of a disk: nothing is acknowledged, and what was is recovered', async () => {
    const folder = throwawayFolder();
    const disk = new HeldDisk();
    disk.isHolding = false;
    const stopped: Error[] = [];
    const sequencer = await start({ folder, files: disk.files, onStopped: (error) => stopped.push(error) });
    for (const body of commands.slice(0, 5)) await sequencer.submit(body);
    disk.isHolding = true;
    const refused = expect(sequencer.submit(commands[5] as CommandBody)).rejects.toMatchObject({
      code: 'MATCHING_JOURNAL_WRITE_FAILED',
    });
    await until(() => disk.holds === 1);
    disk.release(new Error('EIO'));
    await refused;
    expect(stopped).toMatchObject([{ code: 'MATCHING_JOURNAL_WRITE_FAILED' }]);
    await expect(sequencer.submit(commands[6] as CommandBody)).rejects.toMatchObject({
      code: 'MATCHING_STOPPED',
    });
    await expect(sequencer.state()).rejects.toMatchObject({ code: 'MATCHING_JOURNAL_WRITE_FAILED' });
    const again = await start({ folder });
    expect(again.recovered.nextSeq).toBeGreaterThanOrEqual(6);
  });

  test('of a primary when another one opens the folder', async () => {
    const folder = throwawayFolder();
    const stopped: Error[] = [];
    const old = await start({ folder, onStopped: (error) => stopped.push(error) });
    for (const body of commands.slice(0, 5)) await old.submit(body);
    const next = await start({ folder });
    await expect(old.submit(commands[5] as CommandBody)).rejects.toMatchObject({ code: 'MATCHING_FENCED' });
    expect(stopped).toMatchObject([{ code: 'MATCHING_FENCED' }]);
    expect((await next.submit(commands[6] as CommandBody))[0]?.seq).toBe(6);
  });

  test('of all but one of those who open a folder at once: nobody else acknowledges', async () => {
    const folder = throwawayFolder();
    const opened = await Promise.allSettled(Array.from({ length: 4 }, async () => await start({ folder })));
    // Those whose epoch was over before they had begun say so at once, the others when they are asked for something.
    for (const each of opened)
      if (each.status === 'rejected') expect(each.reason).toMatchObject({ code: 'MATCHING_FENCED' });
    const begun = opened.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    for (const other of begun.filter(({ epoch }) => epoch !== 4))
      await expect(other.submit(commands[0] as CommandBody)).rejects.toMatchObject({
        code: 'MATCHING_FENCED',
      });
    const last = begun.find(({ epoch }) => epoch === 4);
    expect(await last?.submit(commands[0] as CommandBody)).toMatchObject([{ seq: 1, index: 0 }]);
    await last?.close();
    // What the others have begun is no part of the history.
    expect((await start({ folder })).recovered.nextSeq).toBe(2);
  });

  test.each([
    [
      'has another configuration',
      { config: { ...loadConfig, clientIdsKept: 3 } },
      () => undefined,
      'MATCHING_JOURNAL_OTHER_CONFIG',
    ],
    [
      'finds the journal damaged',
      {},
      (folder: string) => {
        const file = path.join(folder, segmentsOf(folder)[0] as string);
        const bytes = readFileSync(file);
        bytes.writeUInt8(bytes.readUInt8(400) ^ 1, 400);
        writeFileSync(file, bytes);
      },
      'MATCHING_JOURNAL_DAMAGED',
    ],
  ])('is not brought about by one that %s: it claims nothing', async (_, other, harm, code) => {
    const folder = throwawayFolder();
    const primary = await start({ folder });
    for (const body of commands.slice(0, 5)) await primary.submit(body);
    harm(folder);
    for (let attempt = 0; attempt < 3; attempt++)
      await expect(start({ folder, ...other })).rejects.toMatchObject({ code });
    expect(nodeFiles.list(folder).filter((name) => name.startsWith('epoch-'))).toEqual(['epoch-0000000001']);
    expect((await primary.submit(commands[5] as CommandBody))[0]?.seq).toBe(6);
  });

  test('of a primary without commands, when somebody asks it something', async () => {
    const folder = throwawayFolder();
    const stopped: Error[] = [];
    const old = await start({ folder, onStopped: (error) => stopped.push(error) });
    expect(await old.state()).toMatchObject({ seq: 0 });
    await start({ folder });
    await expect(old.balance(0, 0)).rejects.toMatchObject({ code: 'MATCHING_FENCED' });
    expect(stopped).toMatchObject([{ code: 'MATCHING_FENCED' }]);
  });

  test('closing publishes what was taken', async () => {
    const folder = throwawayFolder();
    const sequencer = await start({ folder });
    const answers = commands.slice(0, 300).map(async (body) => await sequencer.submit(body));
    await sequencer.close();
    expect(await Promise.all(answers)).toHaveLength(300);
    await expect(sequencer.submit(commands[300] as CommandBody)).rejects.toMatchObject({
      code: 'MATCHING_STOPPED',
    });
    await expect(sequencer.published(301)).rejects.toMatchObject({ code: 'MATCHING_STOPPED' });
  });

  test('closing twice is one end: both have it when everything is written', async () => {
    const folder = throwawayFolder();
    const disk = new HeldDisk();
    const sequencer = await start({ folder, files: disk.files });
    const answer = sequencer.submit(commands[0] as CommandBody);
    await until(() => disk.holds === 1);
    const ends: string[] = [];
    const closing = ['first', 'second'].map(async (who) => {
      await sequencer.close();
      ends.push(who);
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(ends).toEqual([]);
    disk.letGo();
    await Promise.all(closing);
    expect(await answer).toHaveLength(1);
    expect(ends).toEqual(['first', 'second']);
  });

  test('of a disk while many commands wait: each of them is told, written or not', async () => {
    const disk = new HeldDisk();
    const sequencer = await start({ files: disk.files, limits: { queueCommands: 16 } });
    const answers = [sequencer.submit(commands[0] as CommandBody)];
    await until(() => disk.holds === 1);
    answers.push(...commands.slice(1, 20).map(async (body) => await sequencer.submit(body)));
    const told = Promise.allSettled(answers);
    const after = expect(sequencer.published(10)).rejects.toMatchObject({
      code: 'MATCHING_JOURNAL_WRITE_FAILED',
    });
    disk.release(new Error('EIO'));
    const codes = (await told).map((each) =>
      each.status === 'rejected' ? (each.reason as { code: string }).code : each.status,
    );
    await after;
    // What was taken may be in the journal; what the queue had no room for is not.
    expect(codes).toEqual([
      ...Array.from({ length: 16 }, () => 'MATCHING_JOURNAL_WRITE_FAILED'),
      ...Array.from({ length: 4 }, () => 'MATCHING_BUSY'),
    ]);
  });

  test.each([
    [
      'a configuration other than the journal has',
      { config: { ...loadConfig, clientIdsKept: 3 } },
      'MATCHING_JOURNAL_OTHER_CONFIG',
    ],
    ['limits that make no sense', { limits: { queueCommands: 3 } }, 'MATCHING_CONFIG_INVALID'],
    [
      'a disk that is full',
      { files: { ...nodeFiles, writeFlushed: noSpace } },
      'MATCHING_JOURNAL_WRITE_FAILED',
    ],
  ])('comes at once with %s', async (_, other, code) => {
    const folder = throwawayFolder();
    await (await start({ folder })).close();
    await expect(start({ folder, ...other })).rejects.toMatchObject({ code });
  });
});
