/** The drill: a planned change of the primary, with the time it took. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Sequencer } from '../sequencer/index.ts';
import type { TakeOverTimes } from '../sequencer/open.ts';
import type { Standby } from './standby.ts';

export interface DrillReport extends TakeOverTimes {
  readonly epoch: number;
  /** Last command of the old primary that counts. */
  readonly seq: number;
  readonly stateHash: string;
  /** Commands that were read after the claim; the standby had applied the others already. */
  readonly behind: number;
  /** State hashes of the primary that this engine found equal to its own. */
  readonly hashesCompared: number;
}

/** Between two looks whether the standby has applied anything. */
const lookMs = 5;

/**
 * Waits until the standby has had its first look at the journal, then takes over; the old primary is fenced and ends by
 * itself with MATCHING_FENCED. All times in milliseconds.
 * @throws as {@link Standby.takeOver}
 */
export async function drillTakeOver(
  standby: Standby,
): Promise<{ readonly sequencer: Sequencer; readonly report: DrillReport }> {
  // One that has ended will never have looked; taking over says with what.
  while (standby.followed === undefined && standby.isFollowing) await delay(lookMs);
  const { seq: followedSeq = 0 } = standby.followed ?? {};
  const { sequencer, times } = await standby.takeOver();
  const { epoch, recovered } = sequencer;
  const seq = recovered.nextSeq - 1;
  return {
    sequencer,
    report: {
      ...times,
      epoch,
      seq,
      stateHash: recovered.stateHash,
      behind: seq - followedSeq,
      hashesCompared: recovered.hashesCompared,
    },
  };
}
