/** Whether the journal has what clients were told, by an engine that replays it from its first command. */
import type { EngineConfig } from '../config.ts';
import { type EngineEvent, readEvent } from '../events.ts';
import { nodeFiles, replayEvents } from '../journal/index.ts';
import { type AnsweredCommand, textOf } from './drill-load.ts';

/** Answers whose command is not in the journal, had other events, or has the place of another one. */
export function missingIn(
  folder: string,
  config: EngineConfig,
  answered: readonly Omit<AnsweredCommand, 'atMs'>[],
): { readonly missing: number; readonly stateHash: string } {
  const told = new Map(answered.map(({ seq, events }) => [seq, events]));
  const found = new Map<number, EngineEvent[]>();
  const recovered = replayEvents({
    files: nodeFiles,
    folder,
    config,
    fromSeq: 1,
    onEvents: (events, from, count) => {
      for (let at = from; at < from + count; at++) {
        const event = readEvent(events, at);
        if (!told.has(event.seq)) continue;
        const before = found.get(event.seq);
        if (before === undefined) found.set(event.seq, [event]);
        else before.push(event);
      }
    },
  });
  const wrong = answered.filter(({ seq, events }) => textOf(found.get(seq) ?? []) !== events);
  // Two answers for one place in the order would be one too many.
  return { missing: wrong.length + answered.length - told.size, stateHash: recovered.stateHash };
}
