/** Everything of a sequencer that has a size or a pace. */
import { z } from 'zod';
import { errorsOf } from '#core/errors';
import { matchingErrors } from '../errors.ts';

const fail = errorsOf(matchingErrors);

const powerOfTwo = (min: number, max: number) =>
  z
    .number()
    .int()
    .min(min)
    .max(max)
    .refine((value) => Number.isInteger(Math.log2(value)), 'is a power of two');
const count = (min: number, max: number) => z.number().int().min(min).max(max);

export const sequencerLimitsSchema = z.strictObject({
  /** Commands that are not published yet; beyond it `MATCHING_BUSY`. 64 bytes each: 4 MiB. */
  queueCommands: powerOfTwo(2, 1 << 20).default(1 << 16),
  /** Events that are not published yet; beyond it the engine waits. 96 bytes each: 12 MiB. */
  queueEvents: powerOfTwo(2, 1 << 22).default(1 << 17),
  /** Of a segment of the journal: a million commands, which replay in about half a second. */
  segmentBytes: count(1 << 12, 2 ** 30).default(64 * 2 ** 20),
  /** Commands between two recorded state hashes. */
  hashEvery: count(1, 1 << 24).default(1 << 12),
  /** Commands between two snapshots; 0: none. Two million replay in about a second. */
  snapshotEvery: count(0, 2 ** 31).default(2_000_000),
  /** At least two, so that one may be damaged. */
  snapshotsKept: count(2, 1_000).default(3),
  /** Segments that a snapshot has made superfluous, for standbys that are behind. */
  segmentsKept: count(0, 1_000_000).default(4),
  /** Between two looks of a standby at the journal. */
  pollMs: count(1, 60_000).default(2),
});
export type SequencerLimits = Readonly<z.output<typeof sequencerLimitsSchema>>;

/** @param given the rest gets its default @throws MATCHING_CONFIG_INVALID naming the field */
export function parseSequencerLimits(given: Partial<SequencerLimits>): SequencerLimits {
  const parsed = sequencerLimitsSchema.safeParse(given);
  if (parsed.success) return parsed.data;
  throw fail('MATCHING_CONFIG_INVALID', `the sequencer's limits: ${z.prettifyError(parsed.error)}`);
}
