import { describe, expect, it } from 'vitest';
import {
  type HaltLift,
  type HaltToLift,
  haltLiftStatement,
  judgeHaltLifts,
  statementChallenge,
} from '#policies';
import { assertionOf, devRoster } from '../support/dev-roster.ts';

const dev = devRoster({
  people: ['ana', 'ben'].map((id) => ({ id, groups: ['treasury'] })),
  services: [],
});
const { roster, rosterHash } = dev;
const halt: HaltToLift = { scope: 'ledger', setAt: 1_000, haltReason: 'zero sum', rosterHash };
const nowMs = 5_000;
const signed = (approver: string, over: Partial<HaltToLift> = {}, notAfter = 10_000): HaltLift => {
  const said = { approver, reason: 'checked', notAfter };
  const statement = haltLiftStatement({ ...halt, ...over }, said);
  return { ...said, assertion: assertionOf(dev.passkeyOf(approver), statementChallenge(statement)) };
};
const judge = (...lifts: readonly HaltLift[]) => judgeHaltLifts({ halt, lifts, roster, nowMs });

describe('lifting a halt', () => {
  it('counts people, not signatures', () => {
    expect(judge(signed('ben'), signed('ana'), signed('ana', {}, 9_000))).toEqual({
      people: ['ana', 'ben'],
      defects: [],
    });
    expect(judge(signed('ana'), signed('ana')).people).toEqual(['ana']);
  });

  it.each<[string, Partial<HaltToLift>]>([
    ['another scope', { scope: 'wallet:x' }],
    ['an earlier halt of the same scope', { setAt: 999 }],
    ['another reason of the halt', { haltReason: 'other' }],
    ['another roster', { rosterHash: `sha256:${'0'.repeat(64)}` }],
  ])('takes nothing that was signed for %s', (_name, over) => {
    expect(judge(signed('ana', over))).toEqual({
      people: [],
      defects: [{ approver: 'ana', defect: 'challenge-mismatch' }],
    });
  });

  it('takes nothing that has lapsed, that somebody else signed, or by somebody unknown', () => {
    const ana = signed('ana');
    expect(judge(signed('ana', {}, nowMs)).people).toEqual(['ana']);
    expect(judge(signed('ana', {}, nowMs - 1)).defects).toMatchObject([{ defect: 'statement-expired' }]);
    expect(judge({ ...ana, approver: 'ben' }).defects).toMatchObject([{ defect: 'credential-unknown' }]);
    expect(judge({ ...ana, approver: 'eve' }).defects).toMatchObject([{ defect: 'approver-unknown' }]);
    expect(judge({ ...ana, reason: 'other' }).defects).toMatchObject([{ defect: 'challenge-mismatch' }]);
  });

  it('is no statement for anything else: its domain is its own', () => {
    expect(haltLiftStatement(halt, signed('ana')).domain).toBe('strongroom/halt-lift/v1');
  });
});
