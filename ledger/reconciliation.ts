/**
 * Reconciliation, its pure part: what independent sources say of the same thing is compared, and every difference is a
 * break with what is at stake. Where the figures come from is the caller's; nothing here knows a chain.
 *
 * Three ways (design section 8): the books against what is there (quantities), signatures within intents within holds
 * (payments), every outflow seen against one intent and one posted transfer (payments and strays).
 */

/** What a quantity is compared for. */
export const quantityChecks = {
  hot: 'the mirrors of the address a wallet pays from against the address itself',
  deposit: 'the mirror of the deposit addresses against the sum of these addresses',
  address: 'what a deposit address must hold by its deposits and sweeps against the address itself',
  sent: 'transactions of an address that we recorded against its own count',
  pending: 'the mirror of deposits that are not final against the deposits',
  'deposit-records': 'the mirror of the deposit addresses against all deposits and sweeps',
  owed: 'all mirrors against what is owed and owned: the proof line within the books',
  unwatched: 'the mirrors of a wallet at whose addresses nobody looks',
} as const;
export type QuantityCheck = keyof typeof quantityChecks;

/** The unit of a count, where it is no amount. */
export const transactionsUnit = 'transactions';

export interface Quantity {
  readonly check: QuantityCheck;
  /** A mirror, an address, an asset. */
  readonly subject: string;
  /** Asset id, or {@link transactionsUnit}. */
  readonly unit: string;
  /** Null where it concerns all wallets. */
  readonly walletId: string | null;
  readonly booked: bigint;
  readonly observed: bigint;
  /** The part of `observed` that happened after the moment the books speak of; signed. */
  readonly unposted: bigint;
  /**
   * `observed`: somebody was asked over a network and may have answered wrongly once, so that one run proves nothing.
   * `snapshot`: both sides come from one snapshot of one database.
   */
  readonly source: 'observed' | 'snapshot';
}
export interface QuantityLine extends Quantity {
  /** `observed - unposted - booked`: negative when less is there than the books say. */
  readonly difference: bigint;
}

export interface SignedAttempt {
  readonly id: string;
  readonly txId: string;
  readonly recipient: string;
  readonly units: bigint;
  readonly maxFeeUnits: bigint;
  /** Spends the conflict set on nothing, so that the payment can never be made under it. */
  readonly isCancel: boolean;
}
export interface SeenOutflow {
  readonly txId: string;
  readonly succeeded: boolean;
  readonly isFinal: boolean;
  readonly feeUnits: bigint;
}
/** One intent with everything the books, the signatures and the outflows say of it. */
export interface PaymentRecord {
  readonly intentId: string;
  readonly walletId: string;
  readonly asset: string;
  /** Null: no withdrawal and no sweep has this intent. */
  readonly paymentId: string | null;
  readonly intended: {
    readonly recipient: string;
    readonly units: bigint;
    readonly feeCapUnits: bigint;
  } | null;
  readonly hold: {
    readonly units: bigint;
    readonly state: 'pending' | 'posted' | 'voided';
    /** 0 unless posted. */
    readonly postedUnits: bigint;
  } | null;
  readonly feePostedUnits: bigint;
  readonly signed: readonly SignedAttempt[];
  /** Another transaction used up the conflict set: nothing signed for this intent can be paid any more. */
  readonly isDead: boolean;
  /** Those that stand: one that a reorg took back does not. */
  readonly outflows: readonly SeenOutflow[];
}
/** A transaction of one of our addresses that no intent of ours asked for. */
export interface StrayOutflow {
  /** Names it once and for all. */
  readonly outflow: string;
  readonly walletId: string;
  readonly asset: string;
}

export type PaymentCheck =
  | 'signed-without-intent'
  | 'intent-without-hold'
  | 'hold-too-small'
  | 'signed-otherwise'
  | 'fee-above-cap'
  | 'hold-released-early'
  | 'paid-twice'
  | 'outflow-without-attempt'
  | 'outflow-without-intent'
  | 'paid-unposted'
  | 'posted-unpaid'
  | 'fee-misposted';
export type BreakCheck = QuantityCheck | PaymentCheck;

export interface Break {
  readonly check: BreakCheck;
  readonly subject: string;
  readonly unit: string;
  readonly walletId: string | null;
  /** Signed, as in {@link QuantityLine}; 0 where something is missing rather than unequal. */
  readonly difference: bigint;
  /** What may be lost, in `unit`. A surplus puts nothing at stake: anybody can send us a base unit. */
  readonly atStake: bigint;
  readonly source: Quantity['source'];
  readonly problem: string;
}
/** The same break in two runs has the same key, whatever its size. */
export const breakKey = (found: Pick<Break, 'check' | 'subject' | 'unit'>): string =>
  `${found.check}/${found.subject}/${found.unit}`;

const magnitude = (value: bigint): bigint => (value < 0n ? -value : value);

function quantityBreak(line: QuantityLine): Break[] {
  const { check, subject, unit, walletId, difference, source } = line;
  if (difference === 0n) return [];
  const isCount = unit === transactionsUnit;
  // Of two tables of one database neither can be believed; of a count more than we know is what must not be.
  const isLoss = source === 'snapshot' || (isCount ? difference > 0n : difference < 0n);
  return [
    {
      check,
      subject,
      unit,
      walletId,
      difference,
      atStake: isLoss ? magnitude(difference) : 0n,
      source,
      problem: `${quantityChecks[check]}: ${line.observed} there, ${line.unposted} of it not booked yet, ${line.booked} booked`,
    },
  ];
}

type Found = readonly [check: PaymentCheck, atStake: bigint, problem: string];

/** Every signature within an intent, every intent within a hold. */
function authorityBreaks(record: PaymentRecord): Found[] {
  const { intended, hold, signed, outflows } = record;
  if (signed.length === 0) return [];
  if (intended === null || record.paymentId === null) {
    const most = signed.find(({ isCancel }) => !isCancel)?.units ?? 0n;
    return [['signed-without-intent', most, `${signed.length} signatures and no payment that they are for`]];
  }
  const found: Found[] = [];
  if (hold === null)
    found.push(['intent-without-hold', intended.units, 'signed, and nothing was ever held for it']);
  else if (hold.units < intended.units)
    found.push([
      'hold-too-small',
      intended.units - hold.units,
      `${intended.units} intended, ${hold.units} held`,
    ]);
  for (const attempt of signed) {
    const isMeant = attempt.recipient === intended.recipient && attempt.units === intended.units;
    if (!attempt.isCancel && !isMeant)
      found.push([
        'signed-otherwise',
        attempt.units,
        `${attempt.id} pays ${attempt.units} to ${attempt.recipient}`,
      ]);
    if (attempt.maxFeeUnits > intended.feeCapUnits)
      found.push([
        'fee-above-cap',
        attempt.maxFeeUnits - intended.feeCapUnits,
        `${attempt.id} lets the network take ${attempt.maxFeeUnits}, the cap is ${intended.feeCapUnits}`,
      ]);
  }
  // Signed bytes can be mined at any time, until the conflict set is used up without a payment.
  const cancels = new Set(signed.filter(({ isCancel }) => isCancel).map(({ txId }) => txId));
  const isUsedUp =
    record.isDead || outflows.some((each) => each.isFinal && (!each.succeeded || cancels.has(each.txId)));
  if (hold?.state === 'voided' && !isUsedUp)
    found.push([
      'hold-released-early',
      intended.units,
      'the hold was released while what was signed can still be paid',
    ]);
  return found;
}

/** Every outflow is one of the signed ones, at most one stands, and what is final is posted. */
function outcomeBreaks(record: PaymentRecord): Found[] {
  const { intended, hold, signed, outflows } = record;
  const found: Found[] = [];
  const units = intended?.units ?? 0n;
  const attemptOf = (txId: string) => signed.find((attempt) => attempt.txId === txId);
  if (outflows.length > 1) found.push(['paid-twice', units, outflows.map(({ txId }) => txId).join(' and ')]);
  for (const { txId } of outflows)
    if (attemptOf(txId) === undefined)
      found.push(['outflow-without-attempt', units, `${txId} is none of those signed for it`]);
  const final = outflows.filter(({ isFinal }) => isFinal);
  const paying = final.filter(({ txId, succeeded }) => succeeded && attemptOf(txId)?.isCancel === false);
  const isPosted = hold?.state === 'posted';
  if (paying.length > 0 && !(isPosted && hold.postedUnits === units))
    found.push(['paid-unposted', units, `final on chain, and the hold is ${hold?.state ?? 'missing'}`]);
  if (paying.length === 0 && isPosted)
    found.push(['posted-unpaid', hold.postedUnits, 'posted, and nothing final paid it']);
  const fees = final.reduce((sum, { feeUnits }) => sum + feeUnits, 0n);
  if (fees !== record.feePostedUnits)
    found.push([
      'fee-misposted',
      magnitude(fees - record.feePostedUnits),
      `the network took ${fees}, ${record.feePostedUnits} is posted`,
    ]);
  return found;
}

function paymentBreaks(record: PaymentRecord): Break[] {
  const found = [...authorityBreaks(record), ...outcomeBreaks(record)];
  return found.map(([check, atStake, problem]) => ({
    check,
    subject: record.paymentId ?? record.intentId,
    unit: record.asset,
    walletId: record.walletId,
    difference: 0n,
    atStake,
    source: 'snapshot',
    problem,
  }));
}

const strayBreak = (stray: StrayOutflow): Break => ({
  check: 'outflow-without-intent',
  subject: stray.outflow,
  unit: stray.asset,
  walletId: stray.walletId,
  difference: 0n,
  atStake: 0n,
  source: 'snapshot',
  problem: 'left one of our addresses without an intent of ours',
});

/** Order in is order out; one break per key, the first one found. */
export function reconcile(input: {
  readonly quantities: readonly Quantity[];
  readonly payments: readonly PaymentRecord[];
  readonly strays: readonly StrayOutflow[];
}): { readonly lines: readonly QuantityLine[]; readonly breaks: readonly Break[] } {
  const lines = input.quantities.map((quantity) => ({
    ...quantity,
    difference: quantity.observed - quantity.unposted - quantity.booked,
  }));
  const all = [
    ...lines.flatMap(quantityBreak),
    ...input.payments.flatMap(paymentBreaks),
    ...input.strays.map(strayBreak),
  ];
  const byKey = new Map<string, Break>();
  for (const found of all) if (!byKey.has(breakKey(found))) byKey.set(breakKey(found), found);
  return { lines, breaks: [...byKey.values()] };
}

// ---------------------------------------------------------------- what follows from a break

/** A signature, or money gone, that nothing on our side asked for: no bound makes this small. */
const alwaysHalting: ReadonlySet<BreakCheck> = new Set([
  'signed-without-intent',
  'intent-without-hold',
  'signed-otherwise',
  'paid-twice',
  'outflow-without-attempt',
  'outflow-without-intent',
]);
/** Runs in a row in which an observed break must stand before it counts. */
export const observedRunsMin = 2;

/**
 * Whether a break, standing for the given number of runs in a row, is one for a person, and whether payments stop for it.
 * `boundUnits`: what may be at stake without stopping payments.
 */
export function consequenceOf(
  found: Break,
  options: { readonly runs: number; readonly boundUnits: bigint },
): 'wait' | 'case' | 'case-and-halt' {
  if (found.source === 'observed' && options.runs < observedRunsMin) return 'wait';
  const isBig = found.unit === transactionsUnit ? found.atStake > 0n : found.atStake > options.boundUnits;
  return alwaysHalting.has(found.check) || isBig ? 'case-and-halt' : 'case';
}
