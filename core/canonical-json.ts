/**
 * RFC 8785 canonical JSON and the hash over it. Everything that is signed or pinned goes through here, so that the same
 * meaning always has the same bytes.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import canonicalize from 'canonicalize';
import { coreErrors, errorsOf } from './errors.ts';

const fail = errorsOf(coreErrors);

export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue };

/** A SHA-256 as `sha256:<64 hex>`, the only form a hash has in our JSON. */
export type Sha256 = `sha256:${string}`;
const depthMax = 32;
/** RFC 8785 section 3.2.2.2: a lone surrogate has no UTF-8 form, so two texts could get the same bytes. */
const loneSurrogate = /\p{Surrogate}/u;

/**
 * JCS allows any double; we allow only safe integers. A float in a signed document is an amount in disguise.
 */
function assertPlain(value: unknown, path: string, depth: number): void {
  if (depth > depthMax) throw fail('CORE_JSON_NOT_CANONICAL', `${path} is nested deeper than ${depthMax}`);
  if (value === null || typeof value === 'boolean') return;
  if (typeof value === 'string') {
    if (loneSurrogate.test(value)) throw fail('CORE_JSON_NOT_CANONICAL', `${path} holds a lone surrogate`);
    return;
  }
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) throw fail('CORE_JSON_NOT_CANONICAL', `${path} is not a safe integer`);
    return;
  }
  if (Array.isArray(value)) {
    // By index, because forEach skips the holes of a list.
    for (let index = 0; index < value.length; index++)
      assertPlain(value[index], `${path}[${index}]`, depth + 1);
    return;
  }
  if (typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype) {
    for (const [key, item] of Object.entries(value)) {
      assertPlain(key, `a key of ${path}`, depth + 1);
      assertPlain(item, `${path}.${key}`, depth + 1);
    }
    return;
  }
  throw fail('CORE_JSON_NOT_CANONICAL', `${path} is a ${typeof value}, which JSON cannot hold`);
}

/** @throws CORE_JSON_NOT_CANONICAL */
export function canonicalJson(value: unknown): string {
  assertPlain(value, '$', 0);
  const text = canonicalize(value);
  if (text === undefined) throw fail('CORE_JSON_NOT_CANONICAL', 'the value has no JSON form');
  return text;
}

/** SHA-256 over the canonical JSON. @throws CORE_JSON_NOT_CANONICAL */
export function hashJson(value: unknown): Sha256 {
  return `sha256:${bytesToHex(sha256(utf8ToBytes(canonicalJson(value))))}`;
}

/** The raw 32 bytes behind {@link hashJson}, for challenges. */
export function hashJsonBytes(value: unknown): Uint8Array {
  return sha256(utf8ToBytes(canonicalJson(value)));
}
