/**
 * What runs in a worker thread: module instances by session number. A thread outlives its sessions, an instance does
 * not. Buffers that arrive here were transferred, so this is their only copy; they are zeroed after use.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { type CallArgument, type CallOutcome, ModuleInstance } from './instance.ts';
import { RandomnessFailure, testedRandom } from './randomness.ts';

export type ThreadRequest =
  | {
      readonly type: 'open';
      readonly call: number;
      readonly session: number;
      readonly opener: 'ecdsa_dkg_new' | 'ecdsa_sign_new';
      readonly args: readonly CallArgument[];
    }
  | { readonly type: 'step'; readonly call: number; readonly session: number; readonly inbox: Uint8Array }
  | { readonly type: 'info'; readonly call: number; readonly args: readonly CallArgument[] }
  /** Makes and discards one instance: the module, its imports and the random source work in this thread. */
  | { readonly type: 'probe'; readonly call: number }
  | { readonly type: 'dispose'; readonly session: number };

export interface ThreadReply {
  readonly call: number;
  readonly outcome: CallOutcome;
}
export interface ThreadData {
  readonly module: WebAssembly.Module;
}

interface LiveSession {
  readonly instance: ModuleInstance;
  readonly handle: number;
}

/** Value of `mpc_session_step` while the protocol goes on; 0 is its end. */
const stepMore = 1;

const { module } = workerData as ThreadData;
const random = testedRandom((target) => globalThis.crypto.getRandomValues(target as Uint8Array<ArrayBuffer>));
const sessions = new Map<number, LiveSession>();

function lost(reason: string): CallOutcome {
  return { ok: false, failure: { kind: 'trap', reason } };
}

function newInstance(): ModuleInstance | CallOutcome {
  try {
    return new ModuleInstance(module, random);
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'unknown';
    return error instanceof RandomnessFailure
      ? { ok: false, failure: { kind: 'randomness', reason } }
      : lost(reason);
  }
}

function open(request: Extract<ThreadRequest, { type: 'open' }>): CallOutcome {
  const instance = newInstance();
  if (!(instance instanceof ModuleInstance)) return instance;
  const outcome = instance.call(request.opener, request.args);
  if (outcome.ok) sessions.set(request.session, { instance, handle: outcome.value });
  else instance.destroy();
  return outcome;
}

function step(request: Extract<ThreadRequest, { type: 'step' }>): CallOutcome {
  const live = sessions.get(request.session);
  if (live === undefined) return lost('the session is not in this thread');
  const outcome = live.instance.call('mpc_session_step', [live.handle, request.inbox]);
  if (!outcome.ok || outcome.value !== stepMore) dispose(request.session);
  return outcome;
}

function info(request: Extract<ThreadRequest, { type: 'info' }>): CallOutcome {
  const instance = newInstance();
  if (!(instance instanceof ModuleInstance)) return instance;
  const outcome = instance.call('ecdsa_share_info', request.args);
  instance.destroy();
  return outcome;
}

function probe(): CallOutcome {
  const instance = newInstance();
  if (!(instance instanceof ModuleInstance)) return instance;
  instance.destroy();
  return { ok: true, value: 0, output: new Uint8Array() };
}

function dispose(session: number): void {
  sessions.get(session)?.instance.destroy();
  sessions.delete(session);
}

function zero(args: readonly CallArgument[]): void {
  for (const argument of args) if (typeof argument !== 'number') argument.fill(0);
}

function answer(request: Exclude<ThreadRequest, { type: 'dispose' }>): CallOutcome {
  if (request.type === 'probe') return probe();
  if (request.type === 'step') {
    const outcome = step(request);
    request.inbox.fill(0);
    return outcome;
  }
  const outcome = request.type === 'open' ? open(request) : info(request);
  zero(request.args);
  return outcome;
}

parentPort?.on('message', (request: ThreadRequest) => {
  if (request.type === 'dispose') {
    dispose(request.session);
    return;
  }
  const outcome = answer(request);
  const reply: ThreadReply = { call: request.call, outcome };
  parentPort?.postMessage(reply, outcome.ok ? [outcome.output.buffer] : []);
});
