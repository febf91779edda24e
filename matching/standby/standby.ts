/**
 * The hot standby: its own engine follows the journal in the shared folder as it grows and compares its state hash with
 * each one the primary records. It takes over within the time of one look at the journal.
 */
import { errorsOf } from '#core/errors';
import { matchingErrors } from '../errors.ts';
import type { Followed } from '../sequencer/engine-thread.ts';
import { prepared, serveWith, type TakenOver } from '../sequencer/open.ts';
import { EngineThread } from '../sequencer/thread.ts';
import type { SequencerOptions } from '../sequencer/types.ts';

const fail = errorsOf(matchingErrors);

export interface Standby {
  /** What its engine has applied and compared. Undefined until the first look. */
  readonly followed: Followed | undefined;
  /** Whether it can still be told to take over. */
  readonly isFollowing: boolean;
  /**
   * Fences the primary, whether it runs or not, and serves. Once.
   * @throws MATCHING_EPOCH_TAKEN (another one was first), and what recovery finds wrong; the standby is ended then
   */
  readonly takeOver: () => Promise<TakenOver>;
  readonly close: () => Promise<void>;
}

/**
 * @param options as of the sequencer it may become; `onStopped` also hears of a standby that cannot go on, such as
 * MATCHING_REPLAY_DIVERGED
 */
export function startStandby(options: SequencerOptions): Standby {
  const { limits } = prepared(options);
  let followed: Followed | undefined;
  let state: 'following' | 'taking over' | 'ended' = 'following';
  const thread = new EngineThread(
    { ...options, limits },
    (news) => {
      if (news.kind === 'notice') options.onNotice?.(news.notice);
      else if (news.kind === 'followed') {
        const { seq, hash, hashesCompared } = news;
        followed = { seq, hash, hashesCompared };
      }
    },
    (error) => {
      if (state === 'following') options.onStopped?.(error);
      state = 'ended';
    },
  );
  return {
    get followed() {
      return followed;
    },
    get isFollowing() {
      return state === 'following';
    },
    takeOver: async () => {
      if (state !== 'following')
        throw fail('MATCHING_STOPPED', 'the standby does not follow any more', {}, thread.failure);
      state = 'taking over';
      return await serveWith(thread, options, limits);
    },
    close: async () => {
      if (state === 'taking over') return;
      state = 'ended';
      await thread.terminate();
    },
  };
}
