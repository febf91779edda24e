/**
 * Check 2. What will be signed is the Keccak-256 of the decoded bytes and the sender is derived from the own share; here
 * they are held against where this wallet may sign at all: its chain, its paths, and the development chain.
 */
import { depositPathPattern, hotPath } from '#custody/protocol';
import { developmentChain } from '../config.ts';
import type { Check } from './check.ts';
import { refused } from './subject.ts';

export const digest: Check = {
  name: 'digest',
  judge({ effect, request, wallet, facts }, { dev }) {
    if (effect.chain !== request.chain || effect.chain !== wallet.chain)
      return refused(
        'digest',
        'chain-mismatch',
        `the bytes are for ${effect.chain}, the request for ${request.chain}, the wallet lives on ${wallet.chain}`,
      );
    if (dev && effect.chain !== developmentChain)
      return refused(
        'digest',
        'chain-not-development',
        `a development co-signer signs for ${developmentChain} only`,
      );
    if (facts.dev !== dev)
      return refused(
        'digest',
        'share-mark',
        'a development share and a production co-signer do not go together',
      );
    if (request.path !== hotPath && !depositPathPattern.test(request.path))
      return refused(
        'digest',
        'path-not-allowed',
        `${request.path} is neither ${hotPath} nor a deposit path m/0/i`,
      );
    return undefined;
  },
};
