/** One intent, one conflict set: what may and what may not be signed again under a recorded set. */
import { afterEach, describe, expect, it } from 'vitest';
import type { Intent } from '#policies/contract';
import {
  attacker,
  closeFixtures,
  commit,
  ether,
  type Fixture,
  hotAddress,
  openFixture,
  type Payment,
  type TransactionFields,
  unsignedTransaction,
  verdict,
} from './fixture.ts';

afterEach(closeFixtures);

const paymentOptions = { id: 'recorded', units: 2n * ether, approvers: ['ana', 'bo'] };

/** A payment of 2 ether, approved by two people and signed once. */
async function signedOnce(fixture: Fixture): Promise<Payment> {
  const payment = fixture.payment(paymentOptions);
  expect(verdict(await fixture.sign(payment))).toBe('ok');
  return payment;
}
const bytesFor = (intent: Intent, fields: TransactionFields) =>
  unsignedTransaction({
    to: intent.outputs[0]?.address ?? '',
    value: BigInt(intent.outputs[0]?.units ?? '0'),
    ...fields,
  });
/** The same intent with other bytes and no approvals at all. */
const again = ({ request, intent }: Payment, fields: TransactionFields = {}) => ({
  request: { ...request, approvals: [], unsigned: bytesFor(intent, fields) },
});
const cancel = ({ request }: Payment, fields: TransactionFields = {}) => ({
  request: {
    ...request,
    approvals: [],
    purpose: 'cancel' as const,
    unsigned: unsignedTransaction({ to: hotAddress, value: 0n, ...fields }),
  },
});

describe('under a recorded conflict set', () => {
  it('a retry and a bump up to the cap need no new approval, and count as spend once', async () => {
    const fixture = openFixture();
    const payment = await signedOnce(fixture);
    expect(verdict(await fixture.sign(again(payment)))).toBe('ok');
    // 0.01 ether cap over 21,000 gas: 476,190,476,190 wei per gas is the dearest that fits.
    for (const maxFee of [30n * 10n ** 9n, 300n * 10n ** 9n, 476_190_476_190n])
      expect(verdict(await fixture.sign(again(payment, { maxFee })))).toBe('ok');
    expect(verdict(await fixture.sign(again(payment, { maxFee: 476_190_476_191n })))).toBe(
      'intent/fee-above-cap',
    );
    // Of 10 ether locally 2.01 are used, once: eight times 0.99 still fit, 0.11 more does not.
    for (let nonce = 1n; nonce <= 8n; nonce++)
      expect(verdict(await fixture.sign(fixture.payment({ units: (98n * ether) / 100n, nonce })))).toBe('ok');
    expect(verdict(await fixture.sign(fixture.payment({ units: ether / 10n, nonce: 9n })))).toBe(
      'spend/limit-exceeded',
    );
    // With the limit used up, what was counted before can still be bumped.
    expect(verdict(await fixture.sign(again(payment, { maxFee: 400n * 10n ** 9n })))).toBe('ok');
  });

  it('expiry and restarts change nothing', async () => {
    const fixture = openFixture();
    const payment = await signedOnce(fixture);
    fixture.clock.advance(48 * 3_600_000);
    expect(verdict(await fixture.sign(again(payment, { maxFee: 30n * 10n ** 9n })))).toBe('ok');
    const restarted = await fixture.reopen();
    expect(verdict(await restarted.sign(again(payment, { maxFee: 40n * 10n ** 9n })))).toBe('ok');
  });

  it('other bytes, another amount or another recipient are refused', async () => {
    const fixture = openFixture();
    const payment = await signedOnce(fixture);
    expect(verdict(await fixture.sign(again(payment, { to: attacker })))).toBe('intent/output-mismatch');
    expect(verdict(await fixture.sign(again(payment, { value: 3n * ether })))).toBe('intent/output-mismatch');
    expect(verdict(await fixture.sign(again(payment, { data: '00' })))).toBe('decode/contract-data');
  });

  it('a second set for the intent is refused, with fresh approvals too and after a restart', async () => {
    const fixture = openFixture();
    await signedOnce(fixture);
    const second = fixture.payment({ ...paymentOptions, nonce: 1n });
    expect(verdict(await fixture.sign(second))).toBe('conflict/intent-has-other-set');
    const restarted = await fixture.reopen();
    expect(verdict(await restarted.sign(second))).toBe('conflict/intent-has-other-set');
  });

  it('the set is refused to any other intent, and the id to any other content', async () => {
    const fixture = openFixture();
    await signedOnce(fixture);
    expect(verdict(await fixture.sign(fixture.payment({ id: 'other' })))).toBe(
      'conflict/set-has-other-intent',
    );
    expect(verdict(await fixture.sign(fixture.payment({ id: 'recorded', units: ether / 2n })))).toBe(
      'conflict/intent-id-reused',
    );
  });

  it('two sessions for one intent, both judged before either commits: one commits', async () => {
    const fixture = openFixture();
    const [first, second] = [
      await fixture.check(fixture.payment({ id: 'race', nonce: 0n })),
      await fixture.check(fixture.payment({ id: 'race', nonce: 1n })),
    ];
    if (!first.ok || !second.ok) throw new Error('both must pass the first judgement');
    expect(verdict(await commit(fixture.coSigner, first.authorisation))).toBe('ok');
    expect(verdict(await commit(fixture.coSigner, second.authorisation))).toBe(
      'conflict/intent-has-other-set',
    );
  });

  it('a commit that one check refuses leaves nothing behind', async () => {
    const fixture = openFixture();
    const [first, second] = [
      await fixture.check(fixture.payment({ id: 'a', units: (9n * ether) / 10n })),
      await fixture.check(fixture.payment({ id: 'b', units: (9n * ether) / 10n, nonce: 1n })),
    ];
    if (!first.ok || !second.ok) throw new Error('both must pass');
    const signId = new Uint8Array(32).fill(1);
    expect(verdict(await commit(fixture.coSigner, first.authorisation, signId))).toBe('ok');
    expect(verdict(await commit(fixture.coSigner, second.authorisation, signId))).toBe(
      'record/sign-id-reused',
    );
    // Neither spend nor conflict set of `b` was kept: its nonce is free for another intent.
    expect(verdict(await fixture.sign(fixture.payment({ id: 'c', nonce: 1n })))).toBe('ok');
  });

  it('a commit of a made-up authorisation is refused', async () => {
    const fixture = openFixture();
    const outcome = await fixture.check(fixture.payment());
    if (!outcome.ok) throw new Error('must pass');
    await expect(commit(fixture.coSigner, { ...outcome.authorisation })).rejects.toMatchObject({
      code: 'CORE_INVARIANT',
    });
  });

  it('a freeze stops retries, bumps and cancels', async () => {
    const fixture = openFixture();
    const payment = await signedOnce(fixture);
    fixture.coSigner.freezes.freezeLocally('chain:eip155:31337', 'incident');
    expect(verdict(await fixture.sign(again(payment)))).toBe('freeze/frozen');
    expect(verdict(await fixture.sign(cancel(payment)))).toBe('freeze/frozen');
  });

  it('a freeze set between judging and committing stops the commit', async () => {
    const fixture = openFixture();
    const outcome = await fixture.check(fixture.payment());
    if (!outcome.ok) throw new Error('must pass');
    fixture.coSigner.freezes.freezeLocally('all', 'incident');
    expect(verdict(await commit(fixture.coSigner, outcome.authorisation))).toBe('freeze/frozen');
  });

  it('an intent that expired, or a clock set back, between judging and committing stops the commit', async () => {
    const fixture = openFixture();
    const judged = async () => {
      const outcome = await fixture.check(fixture.payment());
      if (!outcome.ok) throw new Error('must pass');
      return outcome.authorisation;
    };
    const [late, setBack] = [await judged(), await judged()];
    fixture.clock.advance(-1);
    expect(verdict(await commit(fixture.coSigner, setBack))).toBe('policy/clock-behind-log');
    fixture.clock.advance(25 * 3_600_000);
    expect(verdict(await commit(fixture.coSigner, late))).toBe('policy/intent-expired');
  });
});

describe('a cancel', () => {
  it('needs no approval under a recorded set and leaves the intent bound to it', async () => {
    const fixture = openFixture();
    const payment = await signedOnce(fixture);
    fixture.clock.advance(48 * 3_600_000);
    expect(verdict(await fixture.sign(cancel(payment, { maxFee: 40n * 10n ** 9n })))).toBe('ok');
    const elsewhere = fixture.payment({ ...paymentOptions, nonce: 1n });
    expect(verdict(await fixture.sign(elsewhere))).toMatch(/^conflict\/intent-(?:has-other-set|id-reused)$/);
    expect(verdict(await fixture.sign(fixture.payment({ id: 'other' })))).toBe(
      'conflict/set-has-other-intent',
    );
  });

  it('moves nothing, goes to the sender itself and keeps to the cap', async () => {
    const fixture = openFixture();
    const payment = await signedOnce(fixture);
    expect(verdict(await fixture.sign(cancel(payment, { to: attacker })))).toBe('intent/cancel-pays');
    expect(verdict(await fixture.sign(cancel(payment, { value: 1n })))).toBe('intent/cancel-pays');
    expect(verdict(await fixture.sign(cancel(payment, { maxFee: 10n ** 15n })))).toBe('intent/fee-above-cap');
    expect(verdict(await fixture.sign(cancel(payment, { data: '00' })))).toBe('decode/contract-data');
  });

  it('of what was never signed, or of another nonce, is refused', async () => {
    const fixture = openFixture();
    expect(verdict(await fixture.sign(cancel(fixture.payment())))).toBe('policy/policy-denied');
    const payment = await signedOnce(fixture);
    expect(verdict(await fixture.sign(cancel(payment, { nonce: 5n })))).not.toBe('ok');
  });
});
