/**
 * The five WASI preview 1 calls the module needs, and no other: no files, no clock, no environment, no network. A module
 * that asks for anything else is not ours. (node:wasi is experimental and offers far more.)
 */
import type { RandomFill } from './randomness.ts';

type Imports = Record<string, (...args: number[]) => number>;

const errnoSuccess = 0;
const errnoBadFile = 8;
const stderr = 2;
/** Web Crypto fills at most this many bytes per call. */
const randomChunkBytes = 65_536;
/** A panic message starts with its place; the rest is dropped because it could print a value. */
const panicPlacePattern = /panicked at ([\w./-]+:\d+:\d+)/;
const panicTextCharactersMax = 4096;

/** Thrown out of `proc_exit`; the instance is lost. */
class ModuleExit extends Error {
  override readonly name = 'ModuleExit';
}

export interface WasiHost {
  readonly imports: Imports;
  /** Source position of a Rust panic, or an empty string. */
  panicPlace(): string;
}

/** @param memory read late, because imports are needed before the instance exists */
export function wasiHost(memory: () => WebAssembly.Memory, random: RandomFill): WasiHost {
  let panicText = '';
  const bytes = (pointer: number, length: number) =>
    new Uint8Array(memory().buffer, pointer >>> 0, length >>> 0);
  const putU32 = (pointer: number, value: number) =>
    new DataView(memory().buffer).setUint32(pointer >>> 0, value, true);
  const getU32 = (pointer: number) => new DataView(memory().buffer).getUint32(pointer >>> 0, true);

  const randomGet = (pointer = 0, length = 0): number => {
    const target = bytes(pointer, length);
    for (let offset = 0; offset < target.length; offset += randomChunkBytes) {
      random(target.subarray(offset, offset + randomChunkBytes));
    }
    return errnoSuccess;
  };
  const fdWrite = (file = 0, vectors = 0, vectorCount = 0, written = 0): number => {
    if (file !== stderr) return errnoBadFile;
    let total = 0;
    for (let index = 0; index < vectorCount; index += 1) {
      const chunk = bytes(getU32(vectors + 8 * index), getU32(vectors + 8 * index + 4));
      if (panicText.length < panicTextCharactersMax) panicText += Buffer.from(chunk).toString('latin1');
      total += chunk.length;
    }
    putU32(written, total);
    return errnoSuccess;
  };

  const imports: Imports = {
    random_get: randomGet,
    fd_write: fdWrite,
    environ_sizes_get: (count = 0, size = 0) => {
      putU32(count, 0);
      putU32(size, 0);
      return errnoSuccess;
    },
    environ_get: () => errnoSuccess,
    proc_exit: (status = 0) => {
      throw new ModuleExit(`the module exited with status ${status}`);
    },
  };
  return { imports, panicPlace: () => panicPlacePattern.exec(panicText)?.[1] ?? '' };
}

export const wasiModuleName = 'wasi_snapshot_preview1';
const allowedImports = ['environ_get', 'environ_sizes_get', 'fd_write', 'proc_exit', 'random_get'];

/** Names of imports the shim does not have; empty for our module. */
export function unknownImports(module: WebAssembly.Module): string[] {
  return WebAssembly.Module.imports(module)
    .filter((entry) => entry.module !== wasiModuleName || !allowedImports.includes(entry.name))
    .map((entry) => `${entry.module}.${entry.name}`);
}
