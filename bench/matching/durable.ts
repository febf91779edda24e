/** The whole path of a command: sequencer, journal with fdatasync, engine in its own thread, events published. */
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { commandBytes, commandFloat64, commandSlots, type EventSlots } from '../../matching/contract.ts';
import { createEngine } from '../../matching/engine/index.ts';
import { openSequencer, type Sequencer } from '../../matching/sequencer/index.ts';
import type { Flow } from './flow.ts';
import { type Latency, latencyOf } from './measure.ts';

/** Commands that are handed over together; a gateway has so many when it is busy. */
const groupMax = 1_024;

export interface Durable {
  readonly commandsPerSecond: number;
  /** From handing a command over until its events are published, which is after it is on disk. */
  readonly acknowledged: Latency;
}

/** Hands over commands as fast as `inFlight` unpublished ones allow. */
async function feed(
  sequencer: Sequencer,
  { slots }: Flow,
  from: number,
  to: number,
  inFlight: number,
  onHandOver: (at: number, count: number) => void = () => undefined,
): Promise<void> {
  const group = Math.max(1, Math.min(groupMax, inFlight / 8));
  for (let at = from; at < to; ) {
    const count = Math.min(group, to - at);
    onHandOver(at, count);
    sequencer.submitSlots(slots, at, count);
    at += count;
    await sequencer.published(at + group - inFlight);
  }
  await sequencer.published(to);
}

/** What the sequencer is told the time is: trades say it, so the engine without a sequencer must have it too. */
const nowMs = 1;

function stateHashAfter({ config, slots }: Flow, commands: number): string {
  const engine = createEngine(config);
  const same = commandSlots(slots.bytes.slice(0, commands * commandBytes).buffer);
  for (let at = 0; at < commands; at++) same.float64[at * 8 + commandFloat64.timeMs] = nowMs;
  for (let at = 0; at < commands; at++) {
    engine.submit(same, at);
    engine.drainEvents(() => undefined);
  }
  return engine.stateHash();
}

/** @throws Error when the engine is not in the state that the same commands lead to without a sequencer */
export async function durable(flow: Flow, count: number, inFlight: number): Promise<Durable> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'bench-matching-'));
  const { before, config } = flow;
  try {
    const sequencer = await openSequencer({ folder, config, clock: { nowMs: () => nowMs } });
    await feed(sequencer, flow, 0, before, groupMax * 8);
    const handedOverMs = new Float64Array(count);
    const acknowledgedMs = new Float64Array(count);
    const unsubscribe = sequencer.subscribe(({ float64 }: EventSlots, from: number, events: number) => {
      const nowMs = performance.now();
      // A command's last event counts; its sequence number begins at 1.
      for (let at = from; at < from + events; at++)
        acknowledgedMs[(float64[at * 12] as number) - 1 - before] = nowMs;
    });
    const startedMs = performance.now();
    await feed(sequencer, flow, before, before + count, inFlight, (at, group) => {
      handedOverMs.fill(performance.now(), at - before, at - before + group);
    });
    const elapsedMs = performance.now() - startedMs;
    unsubscribe();
    const { hash } = await sequencer.state();
    await sequencer.close();
    if (hash !== stateHashAfter(flow, before + count))
      throw new Error('the durable engine is in another state');
    return {
      commandsPerSecond: Math.round((count * 1_000) / elapsedMs),
      acknowledged: latencyOf(acknowledgedMs.map((ms, at) => ms - (handedOverMs[at] as number))),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
