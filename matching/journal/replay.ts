/** What was published, once more. */
import type { EventSlots } from '../events.ts';
import { configHashOf } from './config-hash.ts';
import { type Recovered, Replica, type ReplicaOptions } from './replica.ts';

/**
 * Gives the events again of all commands from `fromSeq` to the journal's end, as they were first published: for whoever has
 * to catch up, such as settlement after a crash. Works through it without a pause, so it is for a start or a thread of its
 * own. Events from before that the snapshot makes necessary are left out.
 * @throws as {@link Replica.finish}; MATCHING_JOURNAL_GAP if what is needed was removed
 */
export function replayEvents(
  options: Omit<ReplicaOptions, 'configHash' | 'snapshotsThroughSeq' | 'onEvents'> & {
    readonly fromSeq: number;
    /** Slots `from` to `from + count - 1`. */
    readonly onEvents: (events: EventSlots, from: number, count: number) => void;
  },
): Recovered {
  const { fromSeq, onEvents } = options;
  const replica = new Replica({
    ...options,
    configHash: configHashOf(options.config),
    snapshotsThroughSeq: fromSeq - 1,
    onEvents: (events, count) => {
      let from = 0;
      while (from < count && (events.float64[from * 12] ?? 0) < fromSeq) from++;
      if (from < count) onEvents(events, from, count - from);
    },
  });
  return replica.finish();
}
