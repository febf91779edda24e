/**
 * The module without threads and engine, one instance per party, with its memory in reach: a party can be put back to
 * an earlier round, so that many attacks on one round cost one run.
 */
import { readFileSync } from 'node:fs';
import type { IncomingMessage, OutgoingMessage } from '#mpc/contract';
import { decodeOutbox, encodeInbox } from '../../custody/multi-party-ecdsa-wasm/frames.ts';
import {
  type CallArgument,
  type CallOutcome,
  type ModuleFunction,
  ModuleInstance,
} from '../../custody/multi-party-ecdsa-wasm/instance.ts';
import { type RandomFill, testedRandom } from '../../custody/multi-party-ecdsa-wasm/randomness.ts';

export const moduleBytes: Uint8Array<ArrayBuffer> = new Uint8Array(
  readFileSync(new URL('../../custody/multi-party-ecdsa-wasm/multi-party-ecdsa.wasm', import.meta.url)),
);
export const compiledModule: WebAssembly.Module = new WebAssembly.Module(moduleBytes);

export const systemRandom: RandomFill = (target) => {
  globalThis.crypto.getRandomValues(target as Uint8Array<ArrayBuffer>);
};

/** Makes an instance and keeps its memory, which the product code does not give away. */
export function captureInstance(random: RandomFill = systemRandom, module = compiledModule) {
  const original = WebAssembly.Instance;
  let memory: WebAssembly.Memory | undefined;
  class Capturing extends original {
    constructor(...args: ConstructorParameters<typeof original>) {
      super(...args);
      memory = this.exports['memory'] as WebAssembly.Memory;
    }
  }
  WebAssembly.Instance = Capturing;
  try {
    const instance = new ModuleInstance(module, testedRandom(random));
    if (memory === undefined) throw new Error('no memory was captured');
    return { instance, memory };
  } finally {
    WebAssembly.Instance = original;
  }
}

/** One party of a run. */
export class BareParty {
  readonly party: number;
  readonly instance: ModuleInstance;
  readonly memory: WebAssembly.Memory;
  readonly handle: number;
  messages: OutgoingMessage[];

  constructor(party: number, opener: ModuleFunction, args: readonly CallArgument[]) {
    this.party = party;
    ({ instance: this.instance, memory: this.memory } = captureInstance());
    const opened = this.instance.call(opener, args);
    if (!opened.ok) throw new Error(`not opened: ${opened.failure.reason}`);
    this.handle = opened.value;
    this.messages = decodeOutbox(opened.output);
  }

  step(inbox: readonly IncomingMessage[]): CallOutcome {
    return this.instance.call('mpc_session_step', [this.handle, encodeInbox(inbox)]);
  }

  /** The whole state between two rounds. */
  snapshot(): Uint8Array {
    return new Uint8Array(this.memory.buffer).slice();
  }

  /**
   * Steps from an earlier state, through `later` rounds as long as none is refused, and puts the party back as it is now. After
   * a trap there is nothing to put back.
   */
  attempt(
    state: Uint8Array,
    inbox: readonly IncomingMessage[],
    later: readonly (readonly IncomingMessage[])[] = [],
  ): CallOutcome {
    const now = this.snapshot();
    this.#restore(state);
    let outcome = this.step(inbox);
    for (const next of later) if (outcome.ok) outcome = this.step(next);
    if (this.instance.alive) this.#restore(now);
    return outcome;
  }

  #restore(state: Uint8Array): void {
    const memory = new Uint8Array(this.memory.buffer);
    memory.set(state);
    memory.fill(0, state.length);
  }
}
