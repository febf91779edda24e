/** The built-in engine: sessions of the WASM module in worker threads, behind the contract. */
import { errorsOf, type StrongroomError } from '#core/errors';
import {
  type DkgResult,
  type EcdsaSignature,
  type EngineSession,
  type IncomingMessage,
  mpcErrors,
  type OutgoingMessage,
  payloadBytesMax,
  type ShareInfo,
  type StepResult,
  type ThresholdEcdsaEngine,
} from './contract.ts';
import { decodeDkgResult, decodeInfo, decodeOutbox, decodeSignature, encodeInbox } from './frames.ts';
import { abiCodes, type CallArgument, type CallFailure } from './instance.ts';
import { normaliseSignature, verifySignature } from './signature.ts';
import { type SessionThread, ThreadPool } from './thread-pool.ts';

const fail = errorsOf(mpcErrors);

/** A share of 5-of-9 has 420 KB. */
const shareBytesMax = 1024 * 1024;
const idBytesMax = 1024;
/** Eight steps of eleven characters. */
const pathCharactersMax = 90;
/** A broadcast and a direct message from each of 254 peers. */
const inboxMessagesMax = 2 * 254;

/** Numbers reach the module as bytes or 32-bit words: one that does not fit must not wrap into another party. */
function checkByte(value: number, what: string): void {
  if (!Number.isInteger(value) || value < 0 || value > 255) {
    throw fail('MPC_INPUT', `${what} must be an integer from 0 to 255`, { what });
  }
}

function checkLength(bytes: Uint8Array, min: number, max: number, what: string): void {
  if (bytes.length < min || bytes.length > max) {
    throw fail('MPC_INPUT', `${what} must have ${min} to ${max} bytes, not ${bytes.length}`, { what });
  }
}

function encodePath(path: string): Uint8Array {
  if (path.length > pathCharactersMax) throw fail('MPC_INPUT', 'the path is too long', { what: 'path' });
  return Buffer.from(path, 'utf8');
}

function errorOf(failure: CallFailure): StrongroomError {
  const { reason } = failure;
  if (failure.kind === 'trap') return fail('MPC_TRAP', `the signing module stopped: ${reason}`, { reason });
  if (failure.kind === 'randomness') return fail('MPC_RANDOMNESS', reason, { reason });
  const { code, party } = failure;
  if (code === abiCodes.badInput) return fail('MPC_INPUT', reason, { reason });
  if (code === abiCodes.internal || code === abiCodes.state || code === abiCodes.badHandle) {
    return fail('MPC_TRAP', `the signing module is in a state it should not be in: ${reason}`, { reason });
  }
  const ban = code === abiCodes.ban;
  return fail('MPC_ABORTED', `the protocol ended: ${reason}`, { party, ban, reason });
}

interface SessionPlan<R> {
  readonly thread: SessionThread;
  readonly session: number;
  /** Per round, bytes. */
  readonly payloadBytesMax: readonly number[];
  readonly decode: (output: Uint8Array) => R;
}

class ModuleSession<R> implements EngineSession<R> {
  readonly messages: readonly OutgoingMessage[];
  readonly #plan: SessionPlan<R>;
  #round = 0;
  #state: 'open' | 'stepping' | 'ended' = 'open';

  constructor(plan: SessionPlan<R>, messages: readonly OutgoingMessage[]) {
    this.#plan = plan;
    this.messages = messages;
  }

  async step(inbox: readonly IncomingMessage[]): Promise<StepResult<R>> {
    if (this.#state !== 'open') throw fail('MPC_INPUT', `the session is ${this.#state}`, { what: 'session' });
    this.#state = 'stepping';
    try {
      this.#checkInbox(inbox);
      const { thread, session, decode } = this.#plan;
      const frame = encodeInbox(inbox);
      const outcome = await thread.call({ type: 'step', session, inbox: frame });
      frame.fill(0);
      if (!outcome.ok) throw errorOf(outcome.failure);
      const more = outcome.value !== 0;
      const result: StepResult<R> = more
        ? { state: 'more', messages: decodeOutbox(outcome.output) }
        : { state: 'done', result: decode(outcome.output) };
      outcome.output.fill(0);
      this.#round += 1;
      // A dispose during the step has ended the session already.
      this.#state = more && this.#isStepping() ? 'open' : 'ended';
      return result;
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  dispose(): void {
    this.#state = 'ended';
    this.#plan.thread.dispose(this.#plan.session);
  }

  #isStepping(): boolean {
    return this.#state === 'stepping';
  }

  /** Guard rail 8: sizes are bounded before anything is copied or decoded. */
  #checkInbox(inbox: readonly IncomingMessage[]): void {
    if (inbox.length > inboxMessagesMax) throw fail('MPC_INPUT', 'too many messages', { what: 'inbox' });
    const bytesMax = this.#plan.payloadBytesMax[this.#round] ?? 0;
    for (const { from, payload } of inbox) {
      checkByte(from, 'sender');
      if (payload.length > bytesMax) {
        const reason = `a payload of ${payload.length} bytes; the limit of this round is ${bytesMax}`;
        throw fail('MPC_ABORTED', reason, { party: from, ban: false, reason });
      }
    }
  }
}

export class Dkls23Engine implements ThresholdEcdsaEngine {
  readonly name = 'dkls23-core-0.6.2';
  readonly audited = false;
  readonly #pool: ThreadPool;
  #lastSession = 0;

  private constructor(pool: ThreadPool) {
    this.#pool = pool;
  }

  /**
   * Starts the threads and has each make one instance.
   * @param module compiled, its hash and imports checked by the caller
   * @throws MPC_TRAP, MPC_RANDOMNESS
   */
  static async start(module: WebAssembly.Module, threadCount: number): Promise<Dkls23Engine> {
    const pool = new ThreadPool(module, threadCount);
    const failure = await pool.probe();
    if (failure === undefined) return new Dkls23Engine(pool);
    await pool.close();
    throw errorOf(failure);
  }

  async newDkg(options: Parameters<ThresholdEcdsaEngine['newDkg']>[0]): Promise<EngineSession<DkgResult>> {
    const { committee, party, sessionId } = options;
    checkByte(committee.threshold, 'threshold');
    checkByte(committee.parties, 'parties');
    checkByte(party, 'party');
    checkLength(sessionId, 32, idBytesMax, 'session id');
    const args = [committee.threshold, committee.parties, party, sessionId];
    return await this.#open('ecdsa_dkg_new', args, payloadBytesMax.dkg, decodeDkgResult);
  }

  async newSigning(
    options: Parameters<ThresholdEcdsaEngine['newSigning']>[0],
  ): Promise<EngineSession<EcdsaSignature>> {
    const { share, path, signId, signers } = options;
    checkLength(share, 1, shareBytesMax, 'share');
    checkLength(options.digest, 32, 32, 'digest');
    checkLength(signId, 32, idBytesMax, 'sign id');
    for (const signer of signers) checkByte(signer, 'signer');
    // The copy that is verified at the end is the one that is signed, whatever the caller does with its buffer.
    const digest = options.digest.slice();
    const args = [share, encodePath(path), digest, signId, Uint8Array.from(signers)];
    return await this.#open('ecdsa_sign_new', args, payloadBytesMax.sign, (output) => {
      const signature = normaliseSignature(decodeSignature(output));
      verifySignature(signature, digest);
      return signature;
    });
  }

  async shareInfo(options: { share: Uint8Array; path: string }): Promise<ShareInfo> {
    checkLength(options.share, 1, shareBytesMax, 'share');
    const args = [options.share, encodePath(options.path)];
    const outcome = await this.#thread().call({ type: 'info', args });
    if (!outcome.ok) throw errorOf(outcome.failure);
    return decodeInfo(outcome.output);
  }

  async close(): Promise<void> {
    await this.#pool.close();
  }

  async #open<R>(
    opener: 'ecdsa_dkg_new' | 'ecdsa_sign_new',
    args: readonly CallArgument[],
    bytesMax: readonly number[],
    decode: (output: Uint8Array) => R,
  ): Promise<EngineSession<R>> {
    const thread = this.#thread();
    this.#lastSession += 1;
    const session = this.#lastSession;
    const outcome = await thread.call({ type: 'open', session, opener, args });
    if (!outcome.ok) throw errorOf(outcome.failure);
    const messages = decodeOutbox(outcome.output);
    outcome.output.fill(0);
    return new ModuleSession({ thread, session, payloadBytesMax: bytesMax, decode }, messages);
  }

  #thread(): SessionThread {
    const thread = this.#pool.leastLoaded();
    if (thread === undefined) {
      throw fail(
        'MPC_BUSY',
        'every signing thread has as many sessions as it may hold, or the engine is closed',
      );
    }
    return thread;
  }
}
