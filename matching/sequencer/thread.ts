/** The sequencer's end of the engine's thread: messages both ways, and one error when it is over. */
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { errorsOf } from '#core/errors';
import type { EngineConfig } from '../config.ts';
import { matchingErrors } from '../errors.ts';
import { configHashOf, type Recovered } from '../journal/index.ts';
import type {
  EngineAnswer,
  EngineQuery,
  EngineThreadData,
  FromEngineThread,
  ToEngineThread,
} from './engine-thread.ts';
import type { SequencerLimits } from './limits.ts';
import { allocateRings, Rings } from './rings.ts';

const fail = errorsOf(matchingErrors);
type Code = keyof typeof matchingErrors;

/** What a thread says that nobody asked for. */
export type ThreadNews = Exclude<FromEngineThread, { kind: 'answer' | 'recovered' | 'failed' }>;
/** An answer and the command after which it was true. */
export interface Answered {
  readonly seq: number;
  readonly answer: EngineAnswer;
}

interface Waiting<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
}

export class EngineThread {
  readonly rings: Rings;
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #answers = new Map<number, Waiting<Answered>>();
  #recovering: Waiting<Recovered> | undefined;
  #lastId = 0;
  #mailSent = 0;
  #failure: Error | undefined;
  /** Who hears of news and of the end; the standby first, then the sequencer. */
  #onNews: (news: ThreadNews) => void;
  #onFailed: (error: Error) => void;

  constructor(
    options: { readonly folder: string; readonly config: EngineConfig; readonly limits: SequencerLimits },
    onNews: (news: ThreadNews) => void,
    onFailed: (error: Error) => void,
  ) {
    const { folder, config, limits } = options;
    this.#onNews = onNews;
    this.#onFailed = onFailed;
    const shared = allocateRings({ commands: limits.queueCommands, events: limits.queueEvents });
    this.rings = new Rings(shared);
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    // An unread port must not keep the process alive; the worker does.
    port1.unref();
    const { pollMs, hashEvery, snapshotEvery, segmentBytes } = limits;
    const workerData: EngineThreadData = {
      rings: shared,
      port: port2,
      folder,
      config,
      configHash: configHashOf(config),
      pollMs,
      hashEvery,
      snapshotEvery,
      segmentBytes,
    };
    this.#worker = new Worker(new URL('./start-engine-thread.mjs', import.meta.url), {
      workerData,
      transferList: [port2],
      execArgv: [],
      env: {},
    });
    this.#worker.on('message', (message: FromEngineThread) => this.#take(message));
    this.#worker.on('error', (error) => {
      this.#fail(fail('MATCHING_ENGINE_FAILED', `the engine's thread failed: ${error.message}`, {}, error));
    });
    this.#worker.on('exit', () => this.#fail(fail('MATCHING_ENGINE_FAILED', "the engine's thread ended")));
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  /** From now on others hear of it. */
  handOver(onNews: (news: ThreadNews) => void, onFailed: (error: Error) => void): void {
    this.#onNews = onNews;
    this.#onFailed = onFailed;
    if (this.#failure !== undefined) onFailed(this.#failure);
  }

  /** Reads the journal to its end and serves from then on. @throws what recovery finds wrong */
  async finish(epoch: number): Promise<Recovered> {
    if (this.#failure !== undefined) throw this.#failure;
    return await new Promise((resolve, reject) => {
      this.#recovering = { resolve, reject };
      this.#post({ kind: 'finish', epoch });
    });
  }

  /** @throws MATCHING_ENGINE_FAILED */
  async ask(query: EngineQuery): Promise<Answered> {
    if (this.#failure !== undefined) throw this.#failure;
    this.#lastId += 1;
    const id = this.#lastId;
    return await new Promise((resolve, reject) => {
      this.#answers.set(id, { resolve, reject });
      this.#post({ kind: 'query', id, query });
    });
  }

  /** Ends it at once; nobody hears of that. */
  async terminate(): Promise<void> {
    this.#onFailed = () => undefined;
    this.#port.close();
    await this.#worker.terminate();
  }

  #post(message: ToEngineThread): void {
    this.#port.postMessage(message);
    this.#mailSent = (this.#mailSent + 1) | 0;
    this.rings.store('mail', this.#mailSent);
    this.rings.wakeEngine();
  }

  #take(message: FromEngineThread): void {
    if (message.kind === 'answer') {
      const { id, seq, answer } = message;
      this.#answers.get(id)?.resolve({ seq, answer });
      this.#answers.delete(id);
    } else if (message.kind === 'recovered') this.#recovering?.resolve(message.recovered);
    else if (message.kind === 'failed') this.#fail(failureOf(message));
    else this.#onNews(message);
  }

  #fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#recovering?.reject(error);
    for (const { reject } of this.#answers.values()) reject(error);
    this.#answers.clear();
    this.#onFailed(error);
  }
}

/** An error of ours keeps its code across the threads; any other is the engine's. */
function failureOf({ code, message, details }: Extract<FromEngineThread, { kind: 'failed' }>): Error {
  const isOurs = code !== undefined && Object.hasOwn(matchingErrors, code);
  return isOurs ? fail(code as Code, message, details) : fail('MATCHING_ENGINE_FAILED', message, details);
}
