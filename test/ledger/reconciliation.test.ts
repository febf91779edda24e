/** Books and observations that belong together give no break; each thing changed in them gives its own. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Break,
  type BreakCheck,
  breakKey,
  consequenceOf,
  type PaymentRecord,
  type Quantity,
  reconcile,
  transactionsUnit,
} from '#ledger/contract';

const asset = 'eip155:31337/slip44:60';
const walletId = 'wal_1';
const units = fc.bigInt({ min: 1n, max: 10n ** 77n });
const stages = [
  'held',
  'signed',
  'sent',
  'seen',
  'final',
  'reverted',
  'cancelled',
  'dead',
  'released',
] as const;
type Stage = (typeof stages)[number];

/** A payment as it lawfully looks at a stage of its life. */
function paymentAt(stage: Stage, at: number, amount: bigint, fee: bigint): PaymentRecord {
  const attempt = (name: string, isCancel: boolean) => ({
    id: `att_${at}_${name}`,
    txId: `0x${at}_${name}`,
    recipient: isCancel ? 'own' : 'customer',
    units: isCancel ? 0n : amount,
    maxFeeUnits: fee,
    isCancel,
  });
  const first = attempt('0', false);
  const bump = attempt('1', false);
  const cancel = attempt('cancel', true);
  const outflow = (txId: string, isFinal: boolean, succeeded = true) => ({
    txId,
    isFinal,
    succeeded,
    feeUnits: fee,
  });
  const base = {
    intentId: `int_${at}`,
    walletId,
    asset,
    paymentId: `wd_${at}`,
    intended: { recipient: 'customer', units: amount, feeCapUnits: fee },
    hold: { units: amount, state: 'pending' as const, postedUnits: 0n },
    feePostedUnits: 0n,
    isDead: false,
    signed: [first, bump],
    outflows: [],
  };
  const voided = { ...base.hold, state: 'voided' as const };
  switch (stage) {
    case 'held':
      return { ...base, signed: [] };
    case 'released':
      return { ...base, signed: [], hold: voided };
    case 'signed':
    case 'sent':
      return base;
    case 'seen':
      return { ...base, outflows: [outflow(bump.txId, false)] };
    case 'final':
      return {
        ...base,
        hold: { units: amount, state: 'posted', postedUnits: amount },
        feePostedUnits: fee,
        outflows: [outflow(first.txId, true)],
      };
    case 'reverted':
      return { ...base, hold: voided, feePostedUnits: fee, outflows: [outflow(first.txId, true, false)] };
    case 'cancelled':
      return {
        ...base,
        hold: voided,
        feePostedUnits: fee,
        signed: [first, cancel],
        outflows: [outflow(cancel.txId, true)],
      };
    case 'dead':
      return { ...base, isDead: true };
  }
}

const payments = fc
  .array(fc.tuple(fc.constantFrom(...stages), units, units), { minLength: 1, maxLength: 12 })
  .map((lives) => lives.map(([stage, amount, fee], at) => paymentAt(stage, at, amount, fee)));
const quantity = fc
  .record({
    check: fc.constantFrom('hot' as const, 'deposit' as const, 'address' as const),
    booked: fc.bigInt({ min: 0n, max: 10n ** 77n }),
    unposted: fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }),
  })
  .map(
    ({ check, booked, unposted }, at = 0): Quantity => ({
      check,
      subject: `address ${at}`,
      unit: asset,
      walletId,
      booked,
      unposted,
      observed: booked + unposted,
      source: 'observed',
    }),
  );
const named = (quantities: readonly Quantity[]): Quantity[] =>
  quantities.map((each, at) => ({ ...each, subject: `address ${at}` }));
const quantities = fc.array(quantity, { maxLength: 8 }).map(named);
const checksOf = (breaks: readonly Break[]): BreakCheck[] => breaks.map(({ check }) => check);

describe('books that are right', () => {
  it('have no break, whatever is in flight', () => {
    fc.assert(
      fc.property(payments, quantities, (records, lines) => {
        const found = reconcile({ quantities: lines, payments: records, strays: [] });
        expect(found.breaks).toEqual([]);
        expect(found.lines.every(({ difference }) => difference === 0n)).toBe(true);
        expect(found.lines).toHaveLength(lines.length);
      }),
    );
  });
});

describe('one figure changed', () => {
  it('is one break of exactly that difference; a surplus puts nothing at stake', () => {
    fc.assert(
      fc.property(quantities, fc.nat(), units, fc.boolean(), (lines, pick, by, isSurplus) => {
        const at = pick % (lines.length + 1);
        const changed = [...lines, ...named([{ ...line(0n), check: 'hot' }])].map((each, index) =>
          index === at ? { ...each, observed: each.observed + (isSurplus ? by : -by) } : each,
        );
        const { breaks } = reconcile({ quantities: changed, payments: [], strays: [] });
        expect(breaks).toHaveLength(1);
        expect(breaks[0]).toMatchObject({
          difference: isSurplus ? by : -by,
          atStake: isSurplus ? 0n : by,
          subject: changed[at]?.subject,
        });
      }),
    );
  });

  it('of a count is at stake where there are more transactions than we know', () => {
    for (const [observed, atStake] of [
      [3n, 1n],
      [1n, 0n],
    ] as const) {
      const sent = { ...line(observed), check: 'sent' as const, unit: transactionsUnit, booked: 2n };
      const { breaks } = reconcile({ quantities: [sent], payments: [], strays: [] });
      expect(breaks).toMatchObject([{ check: 'sent', atStake }]);
    }
  });
});

function line(observed: bigint): Quantity {
  return {
    check: 'hot',
    subject: 'hot',
    unit: asset,
    walletId,
    booked: 0n,
    observed,
    unposted: 0n,
    source: 'observed',
  };
}

/** What is done to a lawful payment, and the break that must name it. */
const wrongs: readonly (readonly [BreakCheck, Stage, (record: PaymentRecord) => PaymentRecord])[] = [
  ['signed-without-intent', 'signed', (r) => ({ ...r, intended: null })],
  ['signed-without-intent', 'signed', (r) => ({ ...r, paymentId: null })],
  ['intent-without-hold', 'sent', (r) => ({ ...r, hold: null })],
  [
    'hold-too-small',
    'sent',
    (r) => ({
      ...r,
      intended: r.intended && { ...r.intended, units: r.intended.units + 1n },
      signed: raised(r),
    }),
  ],
  [
    'signed-otherwise',
    'signed',
    (r) => ({ ...r, signed: r.signed.map((a) => ({ ...a, recipient: 'thief' })) }),
  ],
  [
    'signed-otherwise',
    'signed',
    (r) => ({ ...r, signed: r.signed.map((a) => ({ ...a, units: a.units + 1n })) }),
  ],
  [
    'fee-above-cap',
    'signed',
    (r) => ({ ...r, signed: r.signed.map((a) => ({ ...a, maxFeeUnits: a.maxFeeUnits + 1n })) }),
  ],
  ['hold-released-early', 'sent', (r) => ({ ...r, hold: r.hold && { ...r.hold, state: 'voided' } })],
  ['hold-released-early', 'seen', (r) => ({ ...r, hold: r.hold && { ...r.hold, state: 'voided' } })],
  [
    'paid-twice',
    'final',
    (r) => ({
      ...r,
      outflows: [
        ...r.outflows,
        { txId: r.signed[1]?.txId ?? '', isFinal: false, succeeded: true, feeUnits: 1n },
      ],
    }),
  ],
  [
    'outflow-without-attempt',
    'seen',
    (r) => ({ ...r, outflows: r.outflows.map((o) => ({ ...o, txId: '0xother' })) }),
  ],
  [
    'paid-unposted',
    'final',
    (r) => ({ ...r, hold: r.hold && { ...r.hold, state: 'pending', postedUnits: 0n } }),
  ],
  [
    'paid-unposted',
    'final',
    (r) => ({ ...r, hold: r.hold && { ...r.hold, postedUnits: r.hold.postedUnits - 1n } }),
  ],
  ['posted-unpaid', 'final', (r) => ({ ...r, outflows: [], feePostedUnits: 0n })],
  ['fee-misposted', 'final', (r) => ({ ...r, feePostedUnits: r.feePostedUnits + 1n })],
  ['fee-misposted', 'reverted', (r) => ({ ...r, feePostedUnits: 0n })],
];
const raised = (record: PaymentRecord) => record.signed.map((a) => ({ ...a, units: a.units + 1n }));

describe('one payment that is not as it must be', () => {
  it.each(wrongs)('%s (%s)', (check, stage, spoil) => {
    fc.assert(
      fc.property(payments, units, units, (others, amount, fee) => {
        const spoilt = spoil(paymentAt(stage, 99, amount, fee));
        const { breaks } = reconcile({ quantities: [], payments: [...others, spoilt], strays: [] });
        expect(checksOf(breaks)).toEqual([check]);
        expect(breaks[0]).toMatchObject({ source: 'snapshot', walletId });
        expect([spoilt.paymentId, spoilt.intentId]).toContain(breaks[0]?.subject);
      }),
    );
  });

  it('a transaction without an intent is a break by itself', () => {
    const strays = [{ outflow: '0xstray', walletId, asset }];
    expect(reconcile({ quantities: [], payments: [], strays }).breaks).toMatchObject([
      { check: 'outflow-without-intent', subject: '0xstray' },
    ]);
  });
});

describe('what follows', () => {
  const broken = (over: Partial<Break>): Break => ({
    check: 'hot',
    subject: 'x',
    unit: asset,
    walletId,
    difference: -5n,
    atStake: 5n,
    source: 'observed',
    problem: '',
    ...over,
  });
  it.each([
    ['one look proves nothing', broken({}), 1, 0n, 'wait'],
    ['twice in a row, more than the bound', broken({}), 2, 4n, 'case-and-halt'],
    ['twice in a row, within the bound', broken({}), 2, 5n, 'case'],
    ['a surplus never stops payments', broken({ difference: 5n, atStake: 0n }), 9, 0n, 'case'],
    ['one snapshot is enough', broken({ source: 'snapshot' }), 1, 0n, 'case-and-halt'],
    [
      'no bound makes a payment nobody asked for small',
      broken({ check: 'outflow-without-intent', source: 'snapshot', atStake: 0n }),
      1,
      10n ** 77n,
      'case-and-halt',
    ],
    [
      'a bound in base units says nothing of counts',
      broken({ check: 'sent', unit: transactionsUnit, atStake: 1n }),
      2,
      9n,
      'case-and-halt',
    ],
  ] as const)('%s', (_name, found, runs, boundUnits, expected) => {
    expect(consequenceOf(found, { runs, boundUnits })).toBe(expected);
  });

  it('the key of a break does not depend on its size', () => {
    expect(breakKey(broken({ difference: -1n }))).toBe(breakKey(broken({ difference: -9n })));
    expect(breakKey(broken({}))).not.toBe(breakKey(broken({ subject: 'y' })));
  });
});
