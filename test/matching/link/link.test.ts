import { describe, expect, test } from 'vitest';
import { bodies, until } from '../journal/fixture.ts';
import { connect, serve } from './fixture.ts';

const commands = bodies(3_000);

describe('a link', () => {
  test('shows the state of the engine, and answers what is submitted with its events', async () => {
    const { sequencer, url } = await serve();
    for (const body of commands.slice(0, 100)) await sequencer.submit(body);
    const { link, events, resets } = connect(url);
    await link.ready();
    expect(resets).toEqual([0]);
    const answers = await Promise.all(commands.slice(100, 200).map(async (body) => await link.submit(body)));
    const [all] = [await link.submitAll(commands.slice(200, 300))];
    expect(all).toHaveLength(100);
    await until(() => link.view().seq === sequencer.lastSeq);
    expect(link.view().stateHash()).toBe((await sequencer.state()).hash);
    expect(events.filter(({ seq }) => seq > 100)).toEqual([...answers.flat(), ...all.flat()]);
    expect(link.engineName).toBe('main');
    expect(link.state()).toEqual({ connected: true, epoch: 1, settlementLags: false });
  });

  test('begins with a snapshot and the journal behind it', async () => {
    const { sequencer, url } = await serve({
      sequencer: { limits: { snapshotEvery: 700, segmentBytes: 16_384 } },
      server: { limits: { recentCommands: 64 } },
    });
    for (let at = 0; at < commands.length; at += 250)
      await Promise.all(commands.slice(at, at + 250).map(async (body) => await sequencer.submit(body)));
    const { link, resets } = connect(url);
    await link.ready();
    expect(resets).toEqual([2_800]);
    expect(link.view().seq).toBe(3_000);
    expect(link.view().stateHash()).toBe((await sequencer.state()).hash);
  });
});
