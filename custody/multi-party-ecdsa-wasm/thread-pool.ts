/**
 * A few pre-warmed worker threads. A session stays in the thread it was opened in; a thread in which a module trapped
 * takes no new sessions and ends with its last one, and a replacement starts at once.
 */
import { Worker } from 'node:worker_threads';
import type { CallArgument, CallFailure, CallOutcome } from './instance.ts';
import type { ThreadData, ThreadReply, ThreadRequest } from './session-thread.ts';

/** One instance holds 2.5 MiB (a DKG more), so a full thread stays below 256 MiB. */
const sessionsPerThreadMax = 64;
/** The longest step, the last of a 3-of-5 DKG, takes about 20 s on a slow machine. */
const callTimeoutMs = 180_000;

type WithoutCall<T> = T extends unknown ? Omit<T, 'call'> : never;
type Call = WithoutCall<Exclude<ThreadRequest, { type: 'dispose' }>>;

function lost(reason: string): CallOutcome {
  return { ok: false, failure: { kind: 'trap', reason } };
}

/** Own buffers for the thread: the caller's bytes are never detached, and no copy stays on the way. */
function transferable(args: readonly CallArgument[]): { args: CallArgument[]; buffers: ArrayBuffer[] } {
  const buffers: ArrayBuffer[] = [];
  const copies = args.map((argument) => {
    if (typeof argument === 'number') return argument;
    const copy = new Uint8Array(argument);
    buffers.push(copy.buffer);
    return copy;
  });
  return { args: copies, buffers };
}

function withOwnBuffers(call: Call, number: number): { request: object; buffers: ArrayBuffer[] } {
  if (call.type === 'probe') return { request: { ...call, call: number }, buffers: [] };
  if (call.type === 'step') {
    const { args, buffers } = transferable([call.inbox]);
    return { request: { ...call, call: number, inbox: args[0] }, buffers };
  }
  const { args, buffers } = transferable(call.args);
  return { request: { ...call, call: number, args }, buffers };
}

export class SessionThread {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, (outcome: CallOutcome) => void>();
  readonly #sessions = new Set<number>();
  readonly #onUnfit: (thread: SessionThread) => void;
  #lastCall = 0;
  #answered = false;
  #unfit = false;
  #gone = false;

  /** @param onUnfit called once, when the thread can take no further session */
  constructor(module: WebAssembly.Module, onUnfit: (thread: SessionThread) => void) {
    this.#onUnfit = onUnfit;
    const workerData: ThreadData = { module };
    this.#worker = new Worker(new URL('./start-session-thread.cjs', import.meta.url), {
      workerData,
      execArgv: [],
      env: {},
    });
    this.#worker.on('message', (reply: ThreadReply) => this.#settle(reply.call, reply.outcome));
    this.#worker.on('error', (error) => this.#end(`the thread failed: ${error.message}`));
    this.#worker.on('exit', () => this.#end('the thread ended'));
    // A pool that waits for work must not keep a process alive; a call in flight does.
    this.#worker.unref();
  }

  get load(): number {
    return this.#sessions.size;
  }

  /** Whether it ever worked; one that did not is not replaced at once, or a broken set-up would spin. */
  get answered(): boolean {
    return this.#answered;
  }

  async call(call: Call): Promise<CallOutcome> {
    if (this.#gone) return lost('the thread is gone');
    if (call.type === 'open') this.#sessions.add(call.session);
    const outcome = await this.#post(call);
    const over =
      (call.type === 'open' || call.type === 'step') &&
      (!outcome.ok || (call.type === 'step' && outcome.value === 0));
    if (over) this.#sessions.delete(call.session);
    if (!outcome.ok && outcome.failure.kind !== 'refused') this.#retire();
    this.#terminateWhenIdle();
    return outcome;
  }

  dispose(session: number): void {
    if (!this.#sessions.delete(session) || this.#gone) return;
    const request: ThreadRequest = { type: 'dispose', session };
    this.#worker.postMessage(request);
    this.#terminateWhenIdle();
  }

  async terminate(): Promise<void> {
    this.#unfit = true;
    await this.#worker.terminate();
    this.#end('the engine was closed');
  }

  #post(call: Call): Promise<CallOutcome> {
    this.#lastCall += 1;
    const number = this.#lastCall;
    const { request, buffers } = withOwnBuffers(call, number);
    return new Promise((resolve) => {
      const timer = setTimeout(() => void this.#worker.terminate(), callTimeoutMs);
      this.#waiting.set(number, (outcome) => {
        clearTimeout(timer);
        resolve(outcome);
      });
      this.#worker.ref();
      this.#worker.postMessage(request, buffers);
    });
  }

  #settle(number: number, outcome: CallOutcome): void {
    if (outcome.ok || outcome.failure.kind === 'refused') this.#answered = true;
    const resolve = this.#waiting.get(number);
    this.#waiting.delete(number);
    if (this.#waiting.size === 0) this.#worker.unref();
    resolve?.(outcome);
  }

  #end(reason: string): void {
    this.#gone = true;
    this.#sessions.clear();
    for (const number of [...this.#waiting.keys()]) this.#settle(number, lost(reason));
    this.#retire();
  }

  #retire(): void {
    if (this.#unfit) return;
    this.#unfit = true;
    this.#onUnfit(this);
  }

  #terminateWhenIdle(): void {
    if (!this.#unfit || this.#gone || this.#sessions.size > 0 || this.#waiting.size > 0) return;
    void this.#worker.terminate();
  }
}

export class ThreadPool {
  readonly #module: WebAssembly.Module;
  readonly #threads: (SessionThread | undefined)[];
  #closed = false;

  constructor(module: WebAssembly.Module, threadCount: number) {
    this.#module = module;
    this.#threads = Array.from({ length: threadCount }, () => undefined);
    this.#fill();
  }

  /** Waits until every thread has made an instance; gives the first failure, if any. */
  async probe(): Promise<CallFailure | undefined> {
    const probes = this.#threads.map(async (thread) => await thread?.call({ type: 'probe' }));
    const outcomes = await Promise.all(probes);
    for (const outcome of outcomes) if (outcome !== undefined && !outcome.ok) return outcome.failure;
    return undefined;
  }

  /** The thread with the fewest sessions, or undefined when all are full or the pool is closed. */
  leastLoaded(): SessionThread | undefined {
    if (this.#closed) return undefined;
    this.#fill();
    let best: SessionThread | undefined;
    for (const thread of this.#threads) {
      if (thread !== undefined && (best === undefined || thread.load < best.load)) best = thread;
    }
    return best !== undefined && best.load < sessionsPerThreadMax ? best : undefined;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#threads.splice(0).map(async (thread) => await thread?.terminate()));
  }

  #fill(): void {
    for (const [index, thread] of this.#threads.entries()) this.#threads[index] = thread ?? this.#start();
  }

  #start(): SessionThread {
    return new SessionThread(this.#module, (unfit) => {
      const index = this.#threads.indexOf(unfit);
      if (index < 0 || this.#closed) return;
      this.#threads[index] = unfit.answered ? this.#start() : undefined;
    });
  }
}
