/** Decimal numbers as text, exactly. Pure. */
import { errorsOf } from '#core/errors';
import { tradingErrors } from './errors.ts';

const fail = errorsOf(tradingErrors);

/** A fraction above zero. */
export interface Ratio {
  readonly numerator: bigint;
  readonly denominator: bigint;
}
/** `whole` / 10^`places`. */
export interface Decimal {
  readonly whole: bigint;
  readonly places: number;
}

/** Longer than every number of a market: 78 digits of base units, a point, and the places of the finest tick. */
const textCharsMax = 160;
const pattern = /^(?<whole>0|[1-9][0-9]*)(?:\.(?<part>[0-9]+))?$/;

function greatestDivisor(a: bigint, b: bigint): bigint {
  let [left, right] = [a, b];
  while (right !== 0n) [left, right] = [right, left % right];
  return left;
}
function reduced({ numerator, denominator }: Ratio): Ratio {
  const divisor = greatestDivisor(numerator, denominator);
  return { numerator: numerator / divisor, denominator: denominator / divisor };
}

/** 10^exponent times a whole number. */
export const powerOfTen = (whole: bigint, exponent: number): Ratio =>
  exponent < 0
    ? { numerator: whole, denominator: 10n ** BigInt(-exponent) }
    : { numerator: whole * 10n ** BigInt(exponent), denominator: 1n };
export const quotient = (a: Ratio, b: Ratio): Ratio => ({
  numerator: a.numerator * b.denominator,
  denominator: a.denominator * b.numerator,
});

/** With as few places as it needs; undefined for one that never ends, such as 1/3. */
export function decimalOf(ratio: Ratio): Decimal | undefined {
  const { numerator, denominator } = reduced(ratio);
  let rest = denominator;
  let places = 0;
  // A denominator of 2^a * 5^b divides 10^max(a, b), and each round takes one of each away.
  for (; rest > 1n; places++) {
    const shared = greatestDivisor(rest, 10n);
    if (shared === 1n) return undefined;
    rest /= shared;
  }
  return { whole: (numerator * 10n ** BigInt(places)) / denominator, places };
}

/** All places are written: 2000.50 with two. @param whole not negative */
export function decimalText({ whole, places }: Decimal): string {
  if (places === 0) return whole.toString();
  const digits = whole.toString().padStart(places + 1, '0');
  return `${digits.slice(0, -places)}.${digits.slice(-places)}`;
}

/** @param field named in the message. @throws TRADING_NUMBER_INVALID for anything but digits above zero */
export function parseDecimal(field: string, text: string): Decimal {
  const { whole, part = '' } = (text.length > textCharsMax ? undefined : pattern.exec(text)?.groups) ?? {};
  const number = whole === undefined ? 0n : BigInt(whole + part);
  if (number === 0n)
    throw fail(
      'TRADING_NUMBER_INVALID',
      `\`${field}\` "${text.slice(0, 80)}" is not a decimal number above zero in the form 1234.5678`,
      { field },
    );
  return { whole: number, places: part.length };
}

/** The whole steps below and above a number that is not one of them, above zero. */
export function stepsAround(number: Decimal, step: Decimal): readonly Decimal[] {
  const below = (number.whole * 10n ** BigInt(step.places)) / (step.whole * 10n ** BigInt(number.places));
  return [below, below + 1n]
    .filter((count) => count > 0n)
    .map((count) => ({ whole: count * step.whole, places: step.places }));
}

/** How many steps the number is; undefined when it is not a whole number of them. */
export function stepsIn(number: Decimal, step: Decimal): bigint | undefined {
  const numerator = number.whole * 10n ** BigInt(step.places);
  const denominator = step.whole * 10n ** BigInt(number.places);
  return numerator % denominator === 0n ? numerator / denominator : undefined;
}
