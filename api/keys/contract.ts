/** What an API key is. Pure. */
import type { Id } from '#core/ids';

export const apiPermissions = ['read', 'trade', 'transfer'] as const;
/** `read`: markets, orders, fills, balances; `trade`: place, amend, cancel; `transfer`: between main and spot. */
export type ApiPermission = (typeof apiPermissions)[number];

/**
 * Requests per second of one key. A second of the fastest fills less than a tenth of what the engine takes (`linkBatchMax` x
 * 1,000 round trips); orders are limited by account in the engine too, which also counts each of a batch.
 */
export const rateTiers = { standard: 100, professional: 500, 'market-maker': 2_000 } as const;
export type RateTier = keyof typeof rateTiers;
export const rateTierNames = [
  'standard',
  'professional',
  'market-maker',
] as const satisfies readonly RateTier[];

export const apiKeyLimits = {
  accountsOfKey: 100,
  /** In force at a time, so that one account cannot fill what processes remember of keys. */
  keysOfAccount: 100,
  nameCharacters: 100,
} as const;

export interface NewApiKey {
  readonly id: Id<'key'>;
  readonly name: string;
  /** Ed25519, 32 bytes (RFC 8032). */
  readonly publicKey: Uint8Array;
  readonly accounts: readonly Id<'acc'>[];
  readonly permissions: readonly ApiPermission[];
  readonly rateTier: RateTier;
}
export interface ApiKey extends NewApiKey {
  readonly createdAtMs: number;
  /** Name of the token it was registered with. */
  readonly createdBy: string;
  readonly revoked: { readonly atMs: number; readonly by: string } | null;
}
