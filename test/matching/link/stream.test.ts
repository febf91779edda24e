import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { CommandBody } from '../../../matching/commands.ts';
import { assertFits } from '../../../matching/link/command-ranges.ts';
import * as configs from '../engine/configs.ts';
import { Stream } from '../engine/streams.ts';
import { until } from '../journal/fixture.ts';
import { connect, expectSame, published, serve } from './fixture.ts';
import { Relay } from './relay.ts';

/** A stream also has prices that no slot can hold; the link refuses them, as other tests see. */
function fitting(command: CommandBody): CommandBody {
  try {
    assertFits(command);
    return command;
  } catch {
    return { kind: 'cancel-all', account: 1 };
  }
}
/** So many commands go in one piece; then the first link's connection is cut, or not. */
const piece = fc.record({ commands: fc.integer({ min: 1, max: 24 }), isCut: fc.boolean() });

test('random commands over links whose connections are cut give the same events and the same state', {
  timeout: 120_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(configs.oneMarket, configs.tight, configs.threeMarkets, configs.huge),
      fc.integer(),
      fc.array(piece, { minLength: 8, maxLength: 25 }),
      async (config, seed, pieces) => {
        const { sequencer, server, url } = await serve({
          config,
          sequencer: { limits: { hashEvery: 16, snapshotEvery: 100, segmentBytes: 8_192 } },
          server: { limits: { recentCommands: 64, statusMs: 5 } },
        });
        const expected = published(sequencer);
        const relay = await Relay.to(server.port);
        const linked = [connect(relay.url, { config }), connect(url, { config })] as const;
        await Promise.all(linked.map(async ({ link }) => await link.ready()));
        const stream = new Stream(config, seed);
        const cutsNoticed = (): number =>
          linked[0].notices.filter(({ kind }) => kind === 'disconnected').length;
        let cuts = 0;
        const isSettled = (): boolean => linked[0].link.state().connected && cutsNoticed() === cuts;
        for (const [index, { commands, isCut }] of pieces.entries()) {
          const { link } = linked[index % 2 === 0 ? 0 : 1];
          // What is sent before a cut is noticed has no known outcome; other tests see to that.
          if (link === linked[0].link) await until(isSettled);
          const next = Array.from({ length: commands }, () => fitting(stream.next()));
          const answers = await link.submitAll(next);
          for (const answer of answers) stream.see(answer);
          if (!isCut) continue;
          // Behind a piece of its own, or in the middle of the commands of the other one.
          await until(isSettled);
          relay.cut();
          cuts++;
        }
        for (const each of linked) {
          await expectSame(each, sequencer);
          expect(each.events).toEqual(expected);
          expect(each.resets).toEqual([0]);
          expect(each.notices.filter(({ kind }) => kind === 'diverged')).toEqual([]);
          await each.link.close();
        }
        await server.close();
        await sequencer.close();
      },
    ),
    { numRuns: 6, endOnFailure: true },
  );
});
