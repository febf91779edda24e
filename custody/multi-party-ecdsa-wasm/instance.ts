/**
 * One instance of the module: its linear memory holds one session, and is overwritten when the session is over
 * (guard rail 7), because the allocator frees memory without clearing it.
 */
import { RandomnessFailure, type TestedRandom } from './randomness.ts';
import { wasiHost, wasiModuleName } from './wasi.ts';

/** The ABI this wrapper speaks; see src/abi.rs. */
const abiVersion = 1;

/** Negative return values of the ABI; see src/error.rs. */
export const abiCodes = {
  badHandle: -1,
  badInput: -2,
  decode: -3,
  missing: -4,
  duplicate: -5,
  unexpectedSender: -6,
  state: -7,
  abort: -8,
  ban: -9,
  guard: -10,
  internal: -12,
} as const;

/** Why a call gave no result, as plain data that crosses threads. */
export type CallFailure =
  | { readonly kind: 'refused'; readonly code: number; readonly party: number; readonly reason: string }
  | { readonly kind: 'trap'; readonly reason: string }
  | { readonly kind: 'randomness'; readonly reason: string };

export type CallOutcome =
  | { readonly ok: true; readonly value: number; readonly output: Uint8Array<ArrayBuffer> }
  | { readonly ok: false; readonly failure: CallFailure };

/** A number goes as it is; bytes become (pointer, length) of a copy in linear memory. */
export type CallArgument = number | Uint8Array;

export type ModuleFunction = 'ecdsa_dkg_new' | 'ecdsa_sign_new' | 'ecdsa_share_info' | 'mpc_session_step';

type Exported = (...args: number[]) => number;

export class ModuleInstance {
  readonly #exports: Readonly<Record<string, unknown>>;
  readonly #panicPlace: () => string;
  #alive = true;

  /** @throws RandomnessFailure, or an Error when the module has another ABI */
  constructor(module: WebAssembly.Module, random: TestedRandom) {
    random.selfTest();
    const host = wasiHost(() => this.#memory(), random.fill);
    this.#panicPlace = host.panicPlace;
    this.#exports = new WebAssembly.Instance(module, { [wasiModuleName]: host.imports }).exports;
    this.#function('_initialize')();
    const version = this.#function('mpc_abi_version')();
    if (version !== abiVersion) throw new Error(`the module has ABI ${version}, this wrapper ${abiVersion}`);
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** Never throws: a trap, a failed self-test and a refusal are outcomes. After the first two the instance is gone. */
  call(name: ModuleFunction, args: readonly CallArgument[]): CallOutcome {
    if (!this.#alive) return { ok: false, failure: { kind: 'trap', reason: 'the instance was discarded' } };
    try {
      return this.#call(name, args);
    } catch (error) {
      const place = this.#panicPlace();
      this.destroy();
      const text = error instanceof Error ? error.message : 'unknown';
      if (error instanceof RandomnessFailure)
        return { ok: false, failure: { kind: 'randomness', reason: text } };
      return { ok: false, failure: { kind: 'trap', reason: place === '' ? text : `${text} at ${place}` } };
    }
  }

  #call(name: ModuleFunction, args: readonly CallArgument[]): CallOutcome {
    const plain: number[] = [];
    const copies: (readonly [pointer: number, length: number])[] = [];
    for (const argument of args) {
      if (typeof argument === 'number') {
        plain.push(argument);
        continue;
      }
      const pointer = this.#function('mpc_alloc')(argument.length) >>> 0;
      this.#bytes(pointer, argument.length).set(argument);
      plain.push(pointer, argument.length);
      copies.push([pointer, argument.length]);
    }
    const value = this.#function(name)(...plain);
    for (const [pointer, length] of copies) this.#function('mpc_free')(pointer, length);
    const output = this.#takeOutput();
    if (value >= 0) return { ok: true, value, output };
    const reason = Buffer.from(output.subarray(1)).toString();
    return { ok: false, failure: { kind: 'refused', code: value, party: output[0] ?? 0, reason } };
  }

  #takeOutput(): Uint8Array<ArrayBuffer> {
    const pointer = this.#function('mpc_out_ptr')() >>> 0;
    const length = this.#function('mpc_out_len')() >>> 0;
    const output = this.#bytes(pointer, length).slice();
    this.#function('mpc_out_clear')();
    return output;
  }

  /** Overwrites the whole memory; safe to call twice. */
  destroy(): void {
    if (!this.#alive) return;
    this.#alive = false;
    new Uint8Array(this.#memory().buffer).fill(0);
  }

  #memory(): WebAssembly.Memory {
    return this.#exports['memory'] as WebAssembly.Memory;
  }

  #bytes(pointer: number, length: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#memory().buffer, pointer, length);
  }

  #function(name: string): Exported {
    const exported = this.#exports[name];
    if (typeof exported !== 'function') throw new Error(`the module does not export ${name}`);
    return exported as Exported;
  }
}
