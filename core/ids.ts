/**
 * Prefixed ids. The caller makes an id before the first attempt and sends the same id again on a retry; it is the
 * idempotency key. New ids are UUIDv7 (RFC 9562 section 5.7), so that they sort by time; derived ids are UUIDv8
 * (section 5.8) over a SHA-256, so that the same fact always has the same id.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import { coreErrors, errorsOf } from './errors.ts';
import type { Clock, Random } from './ports.ts';

const fail = errorsOf(coreErrors);

/** What each prefix stands for; one word per thing. */
export const idPrefixes = {
  acc: 'customer account',
  adr: 'deposit address',
  apr: 'approval',
  att: 'attempt (one signed transaction)',
  bat: 'batch',
  case: 'case for a person',
  dep: 'deposit',
  int: 'intent',
  key: 'key',
  reb: 'rebalance (a move between tiers)',
  ses: 'MPC session',
  spt: 'transfer between main and spot account',
  swp: 'sweep',
  tr: 'ledger transfer',
  wal: 'wallet',
  wd: 'withdrawal',
} as const;
export type IdPrefix = keyof typeof idPrefixes;
export type Id<P extends IdPrefix> = `${P}_${string}`;

/** As text, for the schemas that describe an id on the wire. */
export const uuidPattern = '[0-9a-f]{8}-[0-9a-f]{4}-[78][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}';

function formatUuid(bytes: Uint8Array, version: 7 | 8): string {
  const b = Uint8Array.from(bytes);
  b[6] = ((b[6] ?? 0) & 0x0f) | (version << 4);
  b[8] = ((b[8] ?? 0) & 0x3f) | 0x80; // RFC 9562 variant
  const hex = bytesToHex(b);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join(
    '-',
  );
}

/** UUIDv7: 48 bits of Unix milliseconds, then version, variant and 74 random bits. */
export function uuidV7(clock: Clock, random: Random): string {
  const bytes = Uint8Array.from(random.bytes(16));
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, (BigInt(clock.nowMs()) << 16n) | BigInt(view.getUint16(6)));
  return formatUuid(bytes, 7);
}

export function newId<P extends IdPrefix>(prefix: P, clock: Clock, random: Random): Id<P> {
  return `${prefix}_${uuidV7(clock, random)}`;
}

/** The id of a fact: the same name always gives the same id (a deposit's ledger transfer, for one). */
export function derivedId<P extends IdPrefix>(prefix: P, name: string): Id<P> {
  return `${prefix}_${formatUuid(sha256(utf8ToBytes(`strongroom/id/v1\n${prefix}\n${name}`)).slice(0, 16), 8)}`;
}

export function isId<P extends IdPrefix>(prefix: P, text: string): text is Id<P> {
  return new RegExp(`^${prefix}_${uuidPattern}$`).test(text);
}

/** @throws CORE_ID_INVALID */
export function parseId<P extends IdPrefix>(prefix: P, text: string): Id<P> {
  if (!isId(prefix, text))
    throw fail(
      'CORE_ID_INVALID',
      `"${text.slice(0, 80)}" is not an id of the form ${prefix}_<uuid version 7>`,
    );
  return text;
}

/** The UUID behind the prefix, for a `uuid` column. */
export function uuidOf(id: Id<IdPrefix>): string {
  return id.slice(id.indexOf('_') + 1);
}
