/**
 * Several processes on one journal, each of which may be killed at any step, fenced at any step by another, meet a disk that fails, or
 * lose the power: what was acknowledged is never lost, never two things, and never is a journal found damaged that no disk has harmed.
 */
import { expect, test } from 'vitest';
import { isStrongroomError, messageOf } from '#core/errors';
import {
  claimEpoch,
  type Files,
  failureUnder,
  type JournalEnd,
  JournalWriter,
  removeLeftovers,
} from '../../../matching/journal/index.ts';
import { type FrameVisitor, JournalReader } from '../../../matching/journal/reader.ts';
import { seeded } from '../settlement/fixture.ts';
import { configHash } from './fixture.ts';
import { ModelDisk } from './model-disk.ts';

const folder = '/journal';
const slotBytes = 64;
const runs = 150;
const stepsOfARun = 240;
/** How a process may end beside being killed, and by a flush that failed. Everything else is a defect. */
const ends = new Set(['MATCHING_FENCED', 'MATCHING_EPOCH_TAKEN']);

class Killed extends Error {}

class World {
  readonly random: (below: number) => number;
  readonly disk: ModelDisk;
  processes: Process[] = [];
  /** Whoever waits for its turn. */
  readonly waiting: (() => void)[] = [];
  /** By sequence number: the command that somebody was told is durable. */
  readonly acknowledged: number[] = [];
  readonly seen = { acknowledged: 0, kills: 0, fenced: 0, failures: 0, losses: 0 };
  /** What no process may end with, and what must never be so. */
  readonly defects: unknown[] = [];
  lastId = 0;
  isCalm = false;
  #isInside = false;

  constructor(seed: number) {
    this.random = seeded(seed);
    this.disk = new ModelDisk(this.random);
  }

  spawn(): Process {
    this.lastId++;
    const process = new Process(this, this.lastId);
    this.processes.push(process);
    return process;
  }

  /** Others act while one is between two of its steps. */
  disturb(who: Process): void {
    if (this.isCalm || this.#isInside) return;
    this.#isInside = true;
    try {
      if (this.random(60) === 0) who.kill();
      const others = this.processes.filter((each) => each !== who);
      const other = others[this.random(Math.max(others.length, 1))];
      if (other?.state === 'following' && this.random(12) === 0) other.claim();
      else if (this.random(6) === 0) other?.tidy();
    } finally {
      this.#isInside = false;
    }
  }

  async settle(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
  }

  losePower(): void {
    for (const process of this.processes) process.kill();
    this.processes = [];
    this.waiting.length = 0;
    this.disk.losePower();
    this.seen.losses++;
  }

  assertHas(commands: readonly number[]): void {
    expect(commands.slice(0, this.acknowledged.length)).toEqual(this.acknowledged);
  }
}

class Process {
  state: 'following' | 'claimed' | 'serving' | 'ended' = 'following';
  readonly #world: World;
  readonly #id: number;
  readonly files: Files;
  readonly #reader: JournalReader;
  /** All commands of the journal as this process has read or written them. */
  readonly commands: number[] = [];
  #waiting: number[] = [];
  #writer: JournalWriter | undefined;
  #epoch = 0;

  constructor(world: World, id: number) {
    this.#world = world;
    this.#id = id;
    this.files = world.disk.filesOf({
      step: () => {
        this.#assertAlive();
        world.disturb(this);
        this.#assertAlive();
      },
      turn: async () => {
        this.#assertAlive();
        // One that is killed never comes to its turn.
        await new Promise<void>((resolve) => world.waiting.push(() => this.state !== 'ended' && resolve()));
      },
    });
    this.#reader = new JournalReader({ files: this.files, folder, configHash, afterSeq: 0 });
  }

  #assertAlive(): void {
    if (this.state === 'ended') throw new Killed();
  }
  kill(): void {
    if (this.state !== 'ended') this.#world.seen.kills++;
    this.state = 'ended';
  }

  readonly #visit: FrameVisitor = (frame, slots, at) => {
    for (let index = at; index < at + frame.commands; index++)
      this.commands.push(slots.float64[index * 8 + 1] ?? 0);
  };

  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#end(error);
    }
  }
  #end(error: unknown): void {
    const wasKilled = this.state === 'ended';
    this.state = 'ended';
    if (wasKilled || error instanceof Killed) return;
    const code = isStrongroomError(error) ? error.code : '';
    const isOfDisk = code === 'MATCHING_JOURNAL_WRITE_FAILED' && /EIO$/.test(messageOf(error));
    if (!ends.has(code) && !isOfDisk) this.#world.defects.push(error);
    else if (code === 'MATCHING_FENCED') this.#world.seen.fenced++;
    else this.#world.seen.failures++;
  }

  follow(): void {
    this.#guarded(() => this.#reader.follow(this.#visit));
  }

  claim(): void {
    this.#guarded(() => {
      this.state = 'claimed';
      this.#epoch = claimEpoch(this.files, folder, String(this.#id));
      this.#world.waiting.push(() => this.#takeOver());
    });
  }

  /** With each snapshot as well, so at any time. */
  tidy(): void {
    this.#guarded(() => {
      if (this.#epoch > 0) removeLeftovers(this.files, folder, this.#epoch);
    });
  }

  #takeOver(): void {
    this.tidy();
    this.#guarded(() => {
      const end = this.#reader.finish(this.#visit, () => undefined);
      expect(this.commands.length).toBe(end.nextSeq - 1);
      this.#world.assertHas(this.commands);
      void this.#begin(end);
    });
  }

  async #begin(end: JournalEnd): Promise<void> {
    const options = {
      files: this.files,
      folder,
      configHash,
      epoch: this.#epoch,
      hashEvery: 8,
      segmentBytes: 1_024,
    };
    try {
      this.#writer = await JournalWriter.begin(options, end, {
        waiting: () => this.#waiting.length,
        take: (target, count) => this.#take(target, count),
        takeStateHash: () =>
          this.#world.random(4) === 0 && this.commands.length > 0
            ? { seq: this.commands.length, hash: '0'.repeat(32) }
            : undefined,
        onDurable: (throughSeq) => this.#acknowledge(throughSeq),
        onFailed: (error) => this.#end(error),
      });
      if (this.state === 'claimed') this.state = 'serving';
    } catch (error) {
      if (this.state !== 'ended') this.#end(failureUnder(options, error));
    }
  }

  put(count: number): void {
    for (let index = 0; index < count; index++) {
      this.#world.lastId++;
      this.#waiting.push(this.#world.lastId);
    }
    this.#writer?.wake();
  }
  #take(target: Uint8Array, count: number): void {
    const taken = this.#waiting.splice(0, count);
    const words = new Float64Array((count * slotBytes) / 8);
    taken.forEach((id, index) => {
      words[index * 8 + 1] = id;
    });
    target.set(new Uint8Array(words.buffer));
    this.commands.push(...taken);
  }
  #acknowledge(throughSeq: number): void {
    // A process that was killed tells nobody anything.
    if (this.state === 'ended') return;
    const { acknowledged, seen } = this.#world;
    const told = this.commands.slice(0, throughSeq);
    // What others were told before is what this one has in the same place.
    expect(told.slice(0, acknowledged.length)).toEqual(acknowledged.slice(0, throughSeq));
    expect(throughSeq).toBeGreaterThanOrEqual(acknowledged.length);
    acknowledged.push(...told.slice(acknowledged.length));
    seen.acknowledged = acknowledged.length;
  }
}

async function act(world: World): Promise<void> {
  const { random, processes, disk, waiting } = world;
  const alive = processes.filter(({ state }) => state !== 'ended');
  world.processes = alive;
  const any = alive[random(Math.max(alive.length, 1))];
  const chance = random(100);
  if (chance < 60 && waiting.length > 0) waiting.splice(random(waiting.length), 1)[0]?.();
  else if (chance < 66 && alive.length < 4) world.spawn();
  else if (chance < 72 && any?.state === 'following') any.follow();
  else if (chance < 76 && any?.state === 'following') any.claim();
  else if (chance < 92) for (const each of alive) if (each.state === 'serving') each.put(1 + random(9));
  if (chance === 97) any?.kill();
  if (chance === 98) disk.isFailing = true;
  if (chance === 99 && random(3) === 0) world.losePower();
  await world.settle();
  expect(world.defects).toEqual([]);
}

/** What is left can be gone on from, by one process that nobody disturbs, also when the power goes once more. */
async function assertGoesOn(world: World): Promise<void> {
  world.isCalm = true;
  for (let round = 0; round < 2; round++) {
    if (world.random(2) === 0) world.losePower();
    world.disk.isFailing = false;
    const last = world.spawn();
    last.claim();
    for (let put = 0; put < 2; ) {
      world.waiting.shift()?.();
      await world.settle();
      expect(world.defects).toEqual([]);
      expect(last.state).not.toBe('ended');
      if (world.waiting.length > 0 || last.state !== 'serving') continue;
      last.put(3);
      put++;
      await world.settle();
    }
    while (world.waiting.length > 0) {
      world.waiting.shift()?.();
      await world.settle();
    }
    expect(world.defects).toEqual([]);
    expect(world.acknowledged).toEqual(last.commands);
  }
}

test('nothing acknowledged is lost or is two things, and no journal is damaged by what processes do', {
  timeout: 240_000,
}, async () => {
  const seen = { acknowledged: 0, kills: 0, fenced: 0, failures: 0, losses: 0 };
  for (let seed = 1; seed <= runs; seed++) {
    const world = new World(seed);
    try {
      for (let step = 0; step < stepsOfARun; step++) await act(world);
      await assertGoesOn(world);
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
    for (const key of Object.keys(seen) as (keyof typeof seen)[]) seen[key] += world.seen[key];
  }
  // Otherwise nothing was tried.
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(runs / 2);
});
