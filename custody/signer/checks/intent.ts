/**
 * Check 3. The intent is signed by an initiator of the pinned roster, is about this wallet and path, and the effect of
 * the bytes is exactly what it says. Under a recorded conflict set the durable record of the intent's hash stands for the
 * signature, because a newer roster may no longer hold its key.
 */
import { depositPathPattern, hotPath } from '#custody/protocol';
import { intentDefect, rolesOf } from '#policies';
import { verifyEd25519 } from '../identity.ts';
import type { Check, SignerState } from './check.ts';
import { type Refused, refused, type Subject } from './subject.ts';

const sweepRole = 'sweep';

function initiatorRefusal({ signed, intent }: Subject, { pins }: SignerState): Refused | undefined {
  const { roster } = pins.current();
  const defect = intentDefect(signed, roster, verifyEd25519);
  if (defect !== undefined)
    return refused('intent', defect, `the intent is not signed by an initiator of the roster: ${defect}`);
  const roles = rolesOf(roster, intent.initiator);
  const fits =
    intent.action === 'sweep' ? roles.includes(sweepRole) : roles.some((role) => role !== sweepRole);
  if (!fits)
    return refused('intent', 'initiator-role', `${intent.initiator} may not ask for a ${intent.action}`);
  return undefined;
}

/** Where the money may come from and, for a sweep, go to. */
function scopeRefusal({ intent, request, wallet, ownHot }: Subject): Refused | undefined {
  if (intent.conflictScope !== wallet.id || intent.vault !== wallet.vault)
    return refused(
      'intent',
      'wallet-mismatch',
      `the intent is for ${intent.conflictScope} in ${intent.vault}`,
    );
  if (intent.source !== request.path)
    return refused(
      'intent',
      'source-mismatch',
      `the intent pays from ${intent.source}, not from ${request.path}`,
    );
  if (intent.action === 'withdraw')
    return intent.source === hotPath
      ? undefined
      : refused('intent', 'source-mismatch', `a withdrawal pays from ${hotPath} only`);
  if (!depositPathPattern.test(intent.source))
    return refused('intent', 'source-mismatch', 'a sweep pays from a deposit address m/0/i only');
  if (intent.outputs.some((output) => output.address !== ownHot))
    return refused(
      'intent',
      'sweep-destination',
      `a sweep pays to the wallet's own hot address ${ownHot} only`,
    );
  return undefined;
}

function effectRefusal({ intent, effect, request, sender }: Subject): Refused | undefined {
  const [output, ...others] = intent.outputs;
  if (output === undefined || others.length > 0)
    return refused('intent', 'outputs-not-one', 'a transfer of ether has exactly one output');
  if (intent.asset !== effect.asset || intent.feeCap.asset !== effect.asset)
    return refused('intent', 'asset-mismatch', `the intent moves ${intent.asset}, the bytes ${effect.asset}`);
  if (effect.feeUnits > BigInt(intent.feeCap.units))
    return refused(
      'intent',
      'fee-above-cap',
      `the fee can reach ${effect.feeUnits.toString()}, the intent allows ${intent.feeCap.units}`,
    );
  if (request.purpose === 'cancel')
    return effect.units === 0n && effect.to === sender
      ? undefined
      : refused('intent', 'cancel-pays', 'a cancel moves nothing and goes to the sender itself');
  if (output.memo !== undefined)
    return refused('intent', 'memo-not-possible', 'a transfer of ether carries no memo');
  if (output.address !== effect.to || BigInt(output.units) !== effect.units)
    return refused(
      'intent',
      'output-mismatch',
      `the bytes pay ${effect.units.toString()} to ${effect.to}, the intent says ${output.units} to ${output.address}`,
    );
  return undefined;
}

/** A sight is a synced write, so it is kept only where a wait runs from it; a wait added later starts later. */
const waits = ({ decision }: Subject): boolean =>
  decision.outcome === 'allow' && decision.obligations.delayMs > 0;

export const intent: Check = {
  name: 'intent',
  judge(subject, state) {
    const refusal =
      (subject.recorded ? undefined : initiatorRefusal(subject, state)) ??
      scopeRefusal(subject) ??
      effectRefusal(subject);
    if (refusal === undefined && !subject.recorded && waits(subject))
      // Waits run from here: only an intent that is signed and matches its bytes is worth remembering.
      state.firstSights.note(subject.intentHash, subject.intent.id);
    return refusal;
  },
};
