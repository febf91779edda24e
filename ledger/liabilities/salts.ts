/** Salts of one tree: none is stored, each follows from the snapshot's secret, the tree and the account. */
import { createHmac } from 'node:crypto';
import { commitmentBytes, scopeBytes } from './encoding.ts';
import { nodeSha256 } from './tree.ts';

/** SHA-256 of the scope: which tree of which snapshot. */
export const treeScopeHash = (snapshotId: string, asset: string): Uint8Array =>
  nodeSha256(scopeBytes(snapshotId, asset));

/**
 * HMAC-SHA-256 (RFC 2104). With the tree in it, one customer's leaves of two assets or two snapshots cannot be linked by
 * someone who does not know the secret.
 */
export function saltOf(secret: Uint8Array, scope: Uint8Array, account: string): Uint8Array {
  return createHmac('sha256', secret).update(scope).update(account).digest();
}

export const commitmentOf = (salt: Uint8Array, account: string): Uint8Array =>
  nodeSha256(commitmentBytes(salt, account));
