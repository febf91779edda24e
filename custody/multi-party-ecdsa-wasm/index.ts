/** Threshold ECDSA for a co-signer; see contract.ts for what the engine does and leaves to its caller. */
import { readFile } from 'node:fs/promises';
import { errorsOf } from '#core/errors';
import { mpcErrors, type ThresholdEcdsaEngine } from './contract.ts';
import { Dkls23Engine } from './engine.ts';
import { crateFolder, moduleFileName, readProvenance, sha256Hex } from './provenance.ts';
import { unknownImports } from './wasi.ts';

export { normaliseSignature, type RawSignature, verifySignature } from './signature.ts';

const fail = errorsOf(mpcErrors);

/** One thread computes while another serves a second session; more than the cores gives nothing. */
const threadCountDefault = 2;
const threadCountMax = 64;

/**
 * Compiles a module after checking its hash and imports.
 * @throws MPC_MODULE
 */
export async function loadModule(bytes: Uint8Array, sha256: string): Promise<WebAssembly.Module> {
  const actual = sha256Hex(bytes);
  if (actual !== sha256) {
    throw fail('MPC_MODULE', `the module has SHA-256 ${actual}, its provenance names ${sha256}`, {
      actual,
      sha256,
    });
  }
  const module = await WebAssembly.compile(bytes);
  const unknown = unknownImports(module);
  if (unknown.length > 0) {
    throw fail('MPC_MODULE', `the module asks for ${unknown.join(', ')}`, { imports: unknown });
  }
  return module;
}

async function loadCommittedModule(): Promise<WebAssembly.Module> {
  let bytes: Uint8Array;
  let sha256: string;
  try {
    sha256 = readProvenance().moduleSha256;
    bytes = await readFile(`${crateFolder}/${moduleFileName}`);
  } catch (cause) {
    throw fail('MPC_MODULE', 'the module or its provenance cannot be read', {}, cause);
  }
  return await loadModule(bytes, sha256);
}

/**
 * The built-in engine (dkls23-core 0.6.2). It has had no outside audit, so a production start must accept that.
 *
 * @param options.threads worker threads, default 2; sessions share them
 * @throws MPC_UNAUDITED outside development without acceptance; MPC_MODULE; MPC_RANDOMNESS; MPC_INPUT for the
 * thread count
 */
export async function createDkls23Engine(options: {
  threads?: number;
  acceptUnaudited: boolean;
  dev: boolean;
}): Promise<ThresholdEcdsaEngine> {
  if (!options.dev && !options.acceptUnaudited) {
    throw fail('MPC_UNAUDITED', 'the built-in engine dkls23-core-0.6.2 is unaudited and was not accepted');
  }
  const threads = options.threads ?? threadCountDefault;
  if (!Number.isInteger(threads) || threads < 1 || threads > threadCountMax) {
    throw fail('MPC_INPUT', `threads must be an integer from 1 to ${threadCountMax}`, { what: 'threads' });
  }
  return await Dkls23Engine.start(await loadCommittedModule(), threads);
}
