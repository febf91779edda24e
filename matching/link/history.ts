/** The server's end of the threads that read the journal: so many at once, each no faster than its client takes. */
import { Worker } from 'node:worker_threads';
import type { FromHistoryThread, HistoryRequest } from './history-thread.ts';
import { historyThreadsMax } from './limits.ts';

export interface HistoryListener {
  /** To be passed on; `sent` is to be called when the network has it. */
  readonly onMessage: (bytes: Buffer, sent: () => void) => void;
  /** Everything up to the wanted command was given. */
  readonly onDone: () => void;
  readonly onFailed: (problem: string) => void;
  readonly onSnapshotSkipped: (snapshot: string, problem: string) => void;
}
type Wanted = Pick<HistoryRequest, 'afterSeq' | 'throughSeq'>;

export class HistoryReadings {
  readonly #source: Pick<HistoryRequest, 'folder' | 'configHash'>;
  #waiting: (() => void)[] = [];
  #running = 0;

  constructor(source: Pick<HistoryRequest, 'folder' | 'configHash'>) {
    this.#source = source;
  }

  /** @returns ends it; nobody hears of it any more */
  read(wanted: Wanted, listener: HistoryListener): () => void {
    let end = (): void => {
      this.#waiting = this.#waiting.filter((waiting) => waiting !== start);
    };
    const start = (): void => {
      end = this.#start(wanted, listener);
    };
    this.#waiting.push(start);
    this.#startNext();
    return () => end();
  }

  #startNext(): void {
    while (this.#running < historyThreadsMax) {
      const start = this.#waiting.shift();
      if (start === undefined) return;
      start();
    }
  }

  #start(wanted: Wanted, listener: HistoryListener): () => void {
    this.#running++;
    let isOver = false;
    const unsent = new SharedArrayBuffer(4);
    const unsentBytes = new Int32Array(unsent);
    const worker = new Worker(new URL('./start-history-thread.mjs', import.meta.url), {
      workerData: { ...this.#source, ...wanted, unsent } satisfies HistoryRequest,
      execArgv: [],
      env: {},
    });
    const over = (tell: () => void): void => {
      if (isOver) return;
      isOver = true;
      void worker.terminate();
      this.#running--;
      // Who reads on stands behind those who wait.
      tell();
      this.#startNext();
    };
    worker.on('message', (news: FromHistoryThread) => {
      if (isOver) return;
      if (news.kind === 'message') {
        const { buffer, byteOffset, length } = news.bytes;
        listener.onMessage(Buffer.from(buffer, byteOffset, length), () => {
          Atomics.sub(unsentBytes, 0, length);
          Atomics.notify(unsentBytes, 0);
        });
      } else if (news.kind === 'snapshot-skipped') listener.onSnapshotSkipped(news.snapshot, news.problem);
      else if (news.kind === 'done') over(() => listener.onDone());
      else over(() => listener.onFailed(news.problem));
    });
    worker.on('error', ({ message }) => over(() => listener.onFailed(message)));
    worker.on('exit', () => over(() => listener.onFailed('the thread that reads the journal ended')));
    return () => over(() => undefined);
  }
}
