/**
 * Strict reading of documents from outside, without a schema library, so that the verifier stays small. Unknown fields,
 * upper-case hex and leading zeros are refused: one meaning has one text. Pure, safe in a browser.
 */
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import type { Sha256 } from '#core/canonical-json';
import { sumMax } from './encoding.ts';

/** Why a document is not good: a word for programs, a sentence for people. Caught at the edge, where it becomes a verdict. */
export class Defect<R extends string = string> extends Error {
  readonly reason: R;
  constructor(reason: R, message: string) {
    super(message);
    this.reason = reason;
  }
}

export interface Refused<R extends string> {
  readonly ok: false;
  readonly reason: R;
  readonly message: string;
}

const malformed = (where: string, problem: string): Defect => new Defect('malformed', `${where} ${problem}`);

export function fieldsOf<K extends string>(
  value: unknown,
  keys: readonly K[],
  where: string,
): Readonly<Record<K, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw malformed(where, 'is not an object');
  for (const key of Object.keys(value))
    if (!(keys as readonly string[]).includes(key)) throw malformed(where, `has an unknown field "${key}"`);
  for (const key of keys) if (!Object.hasOwn(value, key)) throw malformed(where, `lacks the field "${key}"`);
  return value as Readonly<Record<K, unknown>>;
}

export function listOf(value: unknown, lengthMax: number, where: string): readonly unknown[] {
  if (!Array.isArray(value)) throw malformed(where, 'is not a list');
  if (value.length > lengthMax)
    throw malformed(where, `has ${value.length} entries, allowed are ${lengthMax}`);
  return value;
}

export function textOf(value: unknown, pattern: RegExp, where: string): string {
  if (typeof value !== 'string' || !pattern.test(value))
    throw malformed(where, `does not have the form ${pattern.source}`);
  return value;
}

export function literalOf<T extends string>(value: unknown, literal: T, where: string): T {
  if (value !== literal) throw malformed(where, `is not "${literal}"`);
  return literal;
}

export function countOf(
  value: unknown,
  range: { readonly min: number; readonly max: number },
  where: string,
): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < range.min || value > range.max)
    throw malformed(where, `is not a whole number from ${range.min} to ${range.max}`);
  return value;
}

/** Base units as a decimal string, below 2^256. */
export function unitsOf(value: unknown, where: string): bigint {
  const text = textOf(value, /^(?:0|[1-9][0-9]{0,77})$/, where);
  const units = BigInt(text);
  if (units > sumMax) throw malformed(where, 'does not fit into 32 bytes');
  return units;
}

export const hex32 = /^[0-9a-f]{64}$/;

export function hashOf(value: unknown, where: string): Sha256 {
  return textOf(value, /^sha256:[0-9a-f]{64}$/, where) as Sha256;
}

/** The 32 bytes of a hash that {@link hashOf} has read. */
export const bytesOfHash = (hash: Sha256): Uint8Array => hexToBytes(hash.slice('sha256:'.length));
/** How 32 bytes of a hash stand in our JSON. */
export const hashText = (bytes: Uint8Array): Sha256 => `sha256:${bytesToHex(bytes)}`;
