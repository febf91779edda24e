/**
 * The random source given to the module, with a self-test (guard rail 7): without it a host that returns zeros, or the
 * same bytes after a snapshot, would be accepted silently and give away the key.
 *
 * It detects a broken or stuck source, not a weak one. Idea: the repetition count test of NIST SP 800-90B 4.4.1.
 */
import { createHash } from 'node:crypto';

/** Fills the whole target with fresh random bytes. */
export type RandomFill = (target: Uint8Array) => void;

/** Thrown out of the module's import; the session ends with MPC_RANDOMNESS. */
export class RandomnessFailure extends Error {
  override readonly name = 'RandomnessFailure';
}

const selfTestBytes = 64;
/** Of 64 random bytes about 57 are distinct; fewer than 24 has a probability below 2^-100. */
const distinctBytesMin = 24;
/** Set bits of 512: expected 256, standard deviation 11.3; the bound is 8.5 of them. */
const setBits = { min: 160, max: 352 } as const;
/** A shorter request may repeat by chance. */
const comparedBytesMin = 16;
/** Remembered requests per thread; a session makes fewer than ten. */
const rememberedMax = 4096;

export interface TestedRandom {
  /** @throws RandomnessFailure */
  selfTest(): void;
  /** @throws RandomnessFailure */
  fill: RandomFill;
}

function countSetBits(block: Uint8Array): number {
  let count = 0;
  for (const byte of block) for (let rest = byte; rest !== 0; rest &= rest - 1) count += 1;
  return count;
}

/** Digests are remembered instead of the bytes, which are seeds. */
export function testedRandom(source: RandomFill): TestedRandom {
  const remembered = new Set<string>();

  const refuseRepetition = (block: Uint8Array): void => {
    if (block.length < comparedBytesMin) return;
    if (block.every((byte) => byte === block[0])) {
      throw new RandomnessFailure('the random source returned one byte repeated');
    }
    const digest = createHash('sha256').update(block).digest('base64');
    if (remembered.has(digest)) throw new RandomnessFailure('the random source repeated itself');
    if (remembered.size >= rememberedMax) remembered.clear();
    remembered.add(digest);
  };

  const fill: RandomFill = (target) => {
    source(target);
    refuseRepetition(target);
  };

  const selfTest = (): void => {
    for (let round = 0; round < 2; round += 1) {
      const block = new Uint8Array(selfTestBytes);
      fill(block);
      if (new Set(block).size < distinctBytesMin) {
        throw new RandomnessFailure('the random source has too few values');
      }
      const bits = countSetBits(block);
      if (bits < setBits.min || bits > setBits.max) {
        throw new RandomnessFailure('the random source is biased');
      }
    }
  };
  return { selfTest, fill };
}
