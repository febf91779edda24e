/**
 * Amounts of money: a whole number of an asset's base units (wei, sat, sun, lamport).
 *
 * A JavaScript number never holds an amount: 2^53 wei is 0.009 ETH. Arithmetic is by named functions only, each of which
 * checks the assets at run time, because a type alone lets `add<A>(BTC, ETH)` infer a union.
 */
import { coreErrors, errorsOf } from './errors.ts';

const fail = errorsOf(coreErrors);

/**
 * A CAIP-19 asset id, `<CAIP-2 chain>/<namespace>:<reference>` (`eip155:1/slip44:60` is ether on mainnet), or
 * `ledger:<name>` for an asset that lives on our books only. Never a symbol: symbols are not unique.
 */
export type AssetId = string & { readonly __brand: 'AssetId' };
/** A CAIP-2 chain id: `eip155:31337`, `bip122:<genesis prefix>`. */
export type ChainId = string & { readonly __brand: 'ChainId' };

export interface Amount {
  readonly asset: AssetId;
  /** Base units, 0 <= units < 10^78 (numeric(78,0) in SQL; 2^256 has 78 digits). */
  readonly units: bigint;
}
/** The form of an amount in JSON, in workflow payloads and on the wire. */
export interface AmountJson {
  readonly asset: string;
  readonly units: string;
}

export const amountDigitsMax = 78;
export const unitsMax = 10n ** BigInt(amountDigitsMax) - 1n;

const chainPattern = '[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}'; // CAIP-2
const assetPattern = new RegExp(
  `^(?:${chainPattern}/[-a-z0-9]{3,8}:[-.%a-zA-Z0-9]{1,128}|ledger:[a-z][a-z0-9-]{0,31})$`,
);
const chainOnly = new RegExp(`^${chainPattern}$`);
const unitsPattern = /^(?:0|[1-9][0-9]*)$/;

/** @throws CORE_ASSET_INVALID */
export function assetId(text: string): AssetId {
  if (!assetPattern.test(text))
    throw fail('CORE_ASSET_INVALID', `"${text.slice(0, 200)}" is not an asset id`);
  return text as AssetId;
}

/** @throws CORE_ASSET_INVALID */
export function chainId(text: string): ChainId {
  if (!chainOnly.test(text))
    throw fail('CORE_ASSET_INVALID', `"${text.slice(0, 80)}" is not a CAIP-2 chain id`);
  return text as ChainId;
}

/** The chain an asset lives on; undefined for `ledger:` assets. */
export function chainOf(asset: AssetId): ChainId | undefined {
  const slash = asset.indexOf('/');
  return slash < 0 ? undefined : (asset.slice(0, slash) as ChainId);
}

/**
 * Reads base units from a decimal string.
 * @throws CORE_AMOUNT_INVALID for signs, points, exponents, leading zeros, white space or more than 78 digits
 */
export function parseUnits(text: string): bigint {
  if (text.length > amountDigitsMax || !unitsPattern.test(text))
    throw fail(
      'CORE_AMOUNT_INVALID',
      `"${text.slice(0, 100)}" is not a whole number of base units with at most ${amountDigitsMax} digits`,
    );
  return BigInt(text);
}

/** @throws CORE_AMOUNT_INVALID when units are negative or too large */
export function amount(asset: AssetId, units: bigint): Amount {
  if (units < 0n || units > unitsMax)
    throw fail('CORE_AMOUNT_INVALID', `${units.toString()} units of ${asset} are out of range`, { asset });
  return Object.freeze({ asset, units });
}

export const zero = (asset: AssetId): Amount => amount(asset, 0n);

function sameAsset(a: Amount, b: Amount): void {
  if (a.asset !== b.asset)
    throw fail('CORE_ASSET_MISMATCH', `${a.asset} and ${b.asset} cannot be combined`, {
      a: a.asset,
      b: b.asset,
    });
}

export function add(a: Amount, b: Amount): Amount {
  sameAsset(a, b);
  return amount(a.asset, a.units + b.units);
}

/** @throws CORE_AMOUNT_INVALID when b is larger than a: an amount is never negative */
export function subtract(a: Amount, b: Amount): Amount {
  sameAsset(a, b);
  return amount(a.asset, a.units - b.units);
}

export function sum(asset: AssetId, amounts: readonly Amount[]): Amount {
  return amounts.reduce(add, zero(asset));
}

/** -1, 0 or 1. */
export function compare(a: Amount, b: Amount): -1 | 0 | 1 {
  sameAsset(a, b);
  return a.units < b.units ? -1 : a.units > b.units ? 1 : 0;
}

export const isZero = (a: Amount): boolean => a.units === 0n;

/** units * numerator / denominator rounded up, for fees and margins that must not be short. */
export function multiplyRatioCeil(a: Amount, numerator: bigint, denominator: bigint): Amount {
  if (numerator < 0n || denominator <= 0n)
    throw fail(
      'CORE_AMOUNT_INVALID',
      `ratio ${numerator.toString()}/${denominator.toString()} is not usable`,
    );
  return amount(a.asset, (a.units * numerator + denominator - 1n) / denominator);
}

export const toJson = (a: Amount): AmountJson => ({ asset: a.asset, units: a.units.toString() });

/** @throws CORE_ASSET_INVALID, CORE_AMOUNT_INVALID */
export const fromJson = (json: AmountJson): Amount => amount(assetId(json.asset), parseUnits(json.units));
