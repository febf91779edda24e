/**
 * Check 1. The bytes were read by this co-signer's own decoder (a defect there ends the request before any check); here
 * the operation allow-list: plain transfers only, so no approve, no delegatecall, no call of any contract.
 */
import type { Check } from './check.ts';
import { refused } from './subject.ts';

export const decode: Check = {
  name: 'decode',
  judge({ effect }) {
    const operation = effect.forbidden[0];
    return operation === undefined
      ? undefined
      : refused('decode', operation, `the transaction carries ${operation}; only plain transfers are signed`);
  },
};
