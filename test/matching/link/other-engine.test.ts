/** The link's state as others hear it, and what it does with an engine that is not the one it is for. */
import { describe, expect, test } from 'vitest';
import { bodies, until } from '../journal/fixture.ts';
import { connect, expectSame, serve, serveAgain } from './fixture.ts';
import { Relay } from './relay.ts';

const commands = bodies(100);

describe('who listens', () => {
  test('hears that the connection is lost, and that it is back only after what was missed', async () => {
    const { sequencer, server } = await serve();
    const relay = await Relay.to(server.port);
    const linked = connect(relay.url);
    const { link } = linked;
    const told: { readonly connected: boolean; readonly seq: number; readonly events: number }[] = [];
    link.subscribe({
      onEvents: () => undefined,
      onReset: () => undefined,
      onConnected: (connected) => {
        expect(link.state().connected).toBe(connected);
        told.push({ connected, seq: link.view().seq, events: linked.events.length });
      },
    });
    await link.ready();
    relay.isRefusing = true;
    relay.cut();
    await until(() => !link.state().connected);
    for (const body of commands) await sequencer.submit(body);
    expect(link.state().problem).toContain(relay.url);
    relay.isRefusing = false;
    await expectSame(linked, sequencer);
    expect(told.map(({ connected }) => connected)).toEqual([true, false, true]);
    expect(told.map(({ seq }) => seq)).toEqual([0, 0, 100]);
    expect(told.at(-1)?.events).toBe(linked.events.length);
    expect(link.state().problem).toBeUndefined();
  });
});

describe('an engine of another name than the one that is meant', () => {
  test('gives nothing, is named, and is left as soon as the right one answers', async () => {
    const { sequencer, folder, server } = await serve();
    for (const body of commands) await sequencer.submit(body);
    const other = await serveAgain(sequencer, folder, { engineName: 'backup' });
    const relay = await Relay.to(other.server.port);
    const linked = connect(relay.url, { engineName: 'main' });
    const { link, resets } = linked;
    await expect(link.ready()).rejects.toMatchObject({ code: 'MATCHING_LINK_REFUSED' });
    expect(link.state()).toMatchObject({
      connected: false,
      problem: `${relay.url} refuses the link: it is engine backup, not main`,
    });
    expect(() => link.view()).toThrow(expect.objectContaining({ code: 'MATCHING_LINK_DOWN' }));
    expect(resets).toEqual([]);
    relay.lead(server.port);
    await until(() => link.state().connected);
    expect(link.engineName).toBe('main');
    await expectSame(linked, sequencer);
  });

  test('that has another history under the right name is shown from a new snapshot', async () => {
    const first = await serve();
    for (const body of commands) await first.sequencer.submit(body);
    const relay = await Relay.to(first.server.port);
    const linked = connect(relay.url, { engineName: 'main' });
    await linked.link.ready();
    const second = await serve();
    for (const body of commands.slice(0, 7)) await second.sequencer.submit(body);
    relay.lead(second.server.port);
    relay.cut();
    await until(() => linked.notices.some(({ kind }) => kind === 'diverged'));
    await expectSame(linked, second.sequencer);
    expect(linked.resets).toHaveLength(2);
    expect(linked.link.view().seq).toBe(7);
  });
});
