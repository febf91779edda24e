import { expect, test } from 'vitest';
import { commandBytes, commandSlots, writeCommand } from '../../../matching/commands.ts';
import { configHashOf } from '../../../matching/journal/index.ts';
import { HistoryReadings } from '../../../matching/link/history.ts';
import { historyThreadsMax } from '../../../matching/link/limits.ts';
import { loadConfig, sequenced } from '../../support/matching-load.ts';
import { until } from '../journal/fixture.ts';
import { serve } from './fixture.ts';

/** 2 MB, twice what a reading may be ahead of its client. */
const commands = 1 << 15;

/** A reading whose client takes nothing before it is told to. */
class Held {
  isBegun = false;
  isDone = false;
  isHeld = true;
  #sent: (() => void)[] = [];

  constructor(readings: HistoryReadings, onBegun: () => void, onDone: () => void = () => undefined) {
    readings.read(
      { afterSeq: 0, throughSeq: commands },
      {
        onMessage: (_, sent) => {
          if (!this.isBegun) {
            this.isBegun = true;
            onBegun();
          }
          if (this.isHeld) this.#sent.push(sent);
          else sent();
        },
        onDone: () => {
          this.isDone = true;
          onDone();
        },
        onFailed: (problem) => {
          throw new Error(problem);
        },
        onSnapshotSkipped: () => undefined,
      },
    );
  }
  release(): void {
    this.isHeld = false;
    for (const sent of this.#sent.splice(0)) sent();
  }
}

test('no more clients read the journal at once than may, also when one reads on; those who waited come first', async () => {
  const { sequencer, folder } = await serve({ sequencer: { limits: { snapshotEvery: 0 } } });
  const slots = commandSlots(new ArrayBuffer(commands * commandBytes));
  for (let at = 0; at < commands; at++)
    writeCommand(slots, at, sequenced({ kind: 'cancel', account: 1, orderId: 1 }, 0, 0));
  await sequencer.published(sequencer.submitSlots(slots, 0, commands));

  const readings = new HistoryReadings({ folder, configHash: configHashOf(loadConfig) });
  const all: Held[] = [];
  const order: Held[] = [];
  let mostAtOnce = 0;
  const begin = (onDone?: () => void): Held => {
    const held: Held = new Held(
      readings,
      () => {
        order.push(held);
        mostAtOnce = Math.max(mostAtOnce, order.filter(({ isDone }) => !isDone).length);
      },
      onDone,
    );
    all.push(held);
    return held;
  };
  let again: Held | undefined;
  const first = begin(() => {
    again = begin();
  });
  const second = begin();
  await until(() => first.isBegun && second.isBegun);
  const waiting = [begin(), begin()];
  first.release();
  await until(() => first.isDone && order.length > 2);
  for (const held of [...waiting, second]) {
    held.release();
    await until(() => held.isDone);
  }
  again?.release();
  await until(() => all.every(({ isDone }) => isDone));
  expect(mostAtOnce).toBe(historyThreadsMax);
  expect(order.slice(-1)).toEqual([again]);
});
