/** From an engine's thread that follows the journal to a sequencer that serves. */
import { randomUUID } from 'node:crypto';
import { messageOf } from '#core/errors';
import {
  claimEpoch,
  configHashOf,
  type Files,
  failureUnder,
  JournalWriter,
  nodeFiles,
  removeLeftovers,
  writeFailure,
} from '../journal/index.ts';
import { parseSequencerLimits, type SequencerLimits } from './limits.ts';
import { RunningSequencer } from './sequencer.ts';
import { EngineThread } from './thread.ts';
import type { Sequencer, SequencerOptions } from './types.ts';

export interface TakeOverTimes {
  /** From the call until the old primary can acknowledge nothing more, until the journal was read, until we serve. */
  readonly fencedMs: number;
  readonly recoveredMs: number;
  readonly servingMs: number;
}
export interface TakenOver {
  readonly sequencer: Sequencer;
  readonly times: TakeOverTimes;
}

/**
 * Claims the next epoch, durably; reads the journal to its end; begins a segment of the new epoch there.
 *
 * Why nothing that was acknowledged is lost: the old primary acknowledges a frame only after fdatasync of it has returned
 * and then a look has shown no claim. So a frame it acknowledges was on the disk before the claim was; the reading comes
 * after the claim, so it finds that frame, and the new segment goes on behind it. What the old primary writes later, its
 * look refuses; such frames stand behind the point the new segment's header names, and no reader goes there.
 * @throws MATCHING_EPOCH_TAKEN, and what recovery finds wrong; the thread is ended then
 */
export async function serveWith(
  thread: EngineThread,
  options: SequencerOptions,
  limits: SequencerLimits,
): Promise<TakenOver> {
  const { folder, config, files = nodeFiles } = options;
  let epoch = 0;
  try {
    const begun = performance.now();
    epoch = claimEpoch(files, folder, randomUUID());
    const fencedMs = performance.now() - begun;
    const recovering = thread.finish(epoch);
    tidy(files, options, epoch);
    const recovered = await recovering;
    const recoveredMs = performance.now() - begun;
    const configHash = configHashOf(config);
    const { hashEvery, segmentBytes } = limits;
    const sequencer = await RunningSequencer.start({
      options,
      limits,
      files,
      configHash,
      epoch,
      thread,
      recovered,
      beginJournal: async (source) =>
        await JournalWriter.begin(
          { files, folder, configHash, epoch, hashEvery, segmentBytes },
          recovered,
          source,
        ),
    });
    return { sequencer, times: { fencedMs, recoveredMs, servingMs: performance.now() - begun } };
  } catch (error) {
    await thread.terminate();
    throw epoch === 0 ? writeFailure(error) : failureUnder({ files, folder, epoch }, error);
  }
}

/** While the thread reads, which looks at none of these. A disk that may be full gets its room back before it is written to. */
function tidy(files: Files, { folder, onNotice }: SequencerOptions, epoch: number): void {
  try {
    const names = removeLeftovers(files, folder, epoch);
    if (names.length > 0) onNotice?.({ kind: 'files-removed', names });
  } catch (error) {
    onNotice?.({ kind: 'files-left', problem: messageOf(error) });
  }
}

/** A folder of one's own, and limits with their defaults. */
export function prepared(options: SequencerOptions): {
  readonly limits: SequencerLimits;
  readonly files: Files;
} {
  const { folder, files = nodeFiles } = options;
  files.makeFolder(folder);
  return { limits: parseSequencerLimits(options.limits ?? {}), files };
}

/**
 * Recovers what the folder holds and serves; a primary that still runs is fenced by it, but not before the engine here has had its
 * first look: one that cannot go on from this journal, started again and again, must not end the one that serves from it.
 * @throws MATCHING_EPOCH_TAKEN; MATCHING_JOURNAL_DAMAGED, MATCHING_JOURNAL_GAP, MATCHING_REPLAY_DIVERGED; other format,
 * semantics or configuration
 */
export async function openSequencer(options: SequencerOptions): Promise<Sequencer> {
  const { limits } = prepared(options);
  let looked: () => void = () => undefined;
  let failed: (error: Error) => void = () => undefined;
  const looking = new Promise<void>((resolve, reject) => {
    looked = resolve;
    failed = reject;
  });
  const thread = new EngineThread(
    { ...options, limits },
    (news) => {
      if (news.kind === 'notice') options.onNotice?.(news.notice);
      else if (news.kind === 'followed') looked();
    },
    (error) => failed(error),
  );
  try {
    await looking;
  } catch (error) {
    await thread.terminate();
    throw error;
  }
  return (await serveWith(thread, options, limits)).sequencer;
}
