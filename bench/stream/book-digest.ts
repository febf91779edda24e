/** A book as one word, to be compared between processes. */
import { createHash } from 'node:crypto';
import type { PriceLevel } from '../../matching/trading/contract.ts';

export const digestOf = (bids: readonly PriceLevel[], asks: readonly PriceLevel[]): string =>
  createHash('sha256')
    .update(JSON.stringify([bids, asks]))
    .digest('hex');
