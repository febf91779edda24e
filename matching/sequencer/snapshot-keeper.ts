/** Names the snapshots the engine's thread has written once the journal has their commands, and removes what they replace. */
import path from 'node:path';
import { messageOf } from '#core/errors';
import { type Files, nameSnapshot, prune, type Retention } from '../journal/index.ts';
import type { SequencerNotice } from './types.ts';

interface Written {
  readonly seq: number;
  readonly temporary: string;
}

interface KeeperOptions extends Omit<Retention, 'neededFromSeq'> {
  readonly files: Files;
  readonly folder: string;
  readonly configHash: Uint8Array;
  readonly epoch: number;
  readonly tell: (notice: SequencerNotice) => void;
}

/** One that cannot be named would only fill the disk, each time. */
function name(files: Files, folder: string, written: Written): void {
  try {
    nameSnapshot(files, folder, written);
  } catch (error) {
    files.remove(path.join(folder, written.temporary));
    throw error;
  }
}

export class SnapshotKeeper {
  readonly #options: KeeperOptions;
  readonly #written: Written[] = [];
  /** Events of commands from here on may still be asked for again. */
  neededFromSeq = Number.MAX_SAFE_INTEGER;

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  add(snapshot: Written): void {
    this.#written.push(snapshot);
  }

  /**
   * Only what became durable under our epoch: what a fenced primary's engine has seen beyond that is nobody's history, and
   * a snapshot of it would poison the next recovery.
   */
  nameThrough(durableSeq: number): void {
    for (let next = this.#written[0]; next !== undefined && next.seq <= durableSeq; next = this.#written[0]) {
      this.#written.shift();
      const { files, folder, tell } = this.#options;
      try {
        name(files, folder, next);
        tell({ kind: 'snapshot-named', seq: next.seq });
        const names = prune(files, folder, { ...this.#options, neededFromSeq: this.neededFromSeq });
        if (names.length > 0) tell({ kind: 'files-removed', names });
      } catch (error) {
        tell({ kind: 'snapshot-failed', seq: next.seq, problem: messageOf(error) });
      }
    }
  }
}
