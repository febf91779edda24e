/** Two engines, one page of semantics: whatever is thrown at them, they say the same. */
import { describe, expect, test } from 'vitest';
import type { EngineEvent } from '../../../matching/events.ts';
import { doneReasons, eventKinds, rejectReasons } from '../../../matching/vocabulary.ts';
import { compareStream, described } from './both.ts';
import { huge, oneMarket, threeMarkets, tight } from './configs.ts';

const configs = { oneMarket, tight, threeMarkets, huge };
const streams = 6;
const commandsOfStream = 1_500;

/** What has happened in all streams, so that a generator that has gone blind is noticed. */
const happened = new Set<string>();
function see(events: readonly EngineEvent[]): void {
  for (const event of events) {
    happened.add(event.kind);
    if ('reason' in event) happened.add(`${event.kind} ${event.reason}`);
    if (event.kind === 'trade' && event.auction) happened.add('auction');
    if (event.kind === 'amended') happened.add(`amended ${event.priorityKept ? 'kept' : 'lost'}`);
    if (event.kind === 'rested' && event.visible < event.rest) happened.add('iceberg');
  }
}

describe.each(Object.entries(configs))('the fast engine and the reference on %s', (_, config) => {
  test.each(Array.from({ length: streams }, (_unused, seed) => seed + 1))('stream %i', (seed) => {
    const { commands, difference } = compareStream(config, { seed, count: commandsOfStream, see });
    expect(difference === undefined ? '' : described(config, commands)).toBe('');
  });
});

test('in these streams everything has happened that the vocabulary has a word for', () => {
  const all = [
    ...eventKinds,
    ...rejectReasons.map((reason) => `rejected ${reason}`),
    ...doneReasons.map((reason) => `done ${reason}`),
    ...['auction', 'amended kept', 'amended lost', 'iceberg'],
  ];
  expect(all.filter((word) => !happened.has(word))).toEqual([]);
});
