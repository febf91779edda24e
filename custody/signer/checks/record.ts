/**
 * Check 10. The decision and its sign id are in the durable, hash-chained log before the first message leaves. A sign id
 * is used once: a second use under the same shares would repeat oblivious-transfer pads (guard rail 6).
 */
import { bytesToHex } from '@noble/hashes/utils.js';
import type { Check } from './check.ts';
import { refused } from './subject.ts';

export const record: Check = {
  name: 'record',
  commit(subject, state, { signId, session }) {
    if (!state.guard.consume(signId))
      return refused('record', 'sign-id-reused', 'this sign id was consumed before');
    const { request, effect, intent, decision } = subject;
    const { policyHash, rosterHash } = state.pins.current();
    state.log.append('committed', {
      session,
      signId,
      requestHash: subject.requestHash,
      intentId: intent.id,
      intentHash: subject.intentHash,
      wallet: request.wallet,
      epoch: request.epoch,
      path: request.path,
      purpose: request.purpose,
      recorded: subject.recorded,
      conflictSet: subject.conflictSet,
      to: effect.to,
      units: effect.units.toString(),
      feeUnits: effect.feeUnits.toString(),
      digest: bytesToHex(subject.digest),
      participants: request.participants,
      rules: decision.rules,
      policyHash,
      rosterHash,
    });
    return undefined;
  },
};
