/**
 * Between the numbers of the engine and those of people: ticks, lots and engine units to decimal numbers of whole coins and
 * back. Exact both ways; what is not a whole number of ticks, lots or units is refused, never rounded.
 *
 * Written numbers have all places of their step: prices those of the tick (2000.50), sizes those of the lot (0.0100), amounts
 * those of the asset's engine unit. Numbers that are read may have fewer, or more zeros.
 */
import { errorsOf } from '#core/errors';
import type { AssetId } from '#core/money';
import { type EngineConfig, type MarketConfig, orderValueMax } from '../config.ts';
import { matchingErrors } from '../errors.ts';
import { engineAssets } from '../settlement/assets.ts';
import type { RejectReason } from '../vocabulary.ts';
import {
  type Decimal,
  decimalOf,
  decimalText,
  parseDecimal,
  powerOfTen,
  quotient,
  type Ratio,
  stepsAround,
  stepsIn,
} from './decimals.ts';
import { tradingErrors } from './errors.ts';
import { type Explanation, rejection } from './rejections.ts';

const fail = errorsOf({ ...tradingErrors, ...matchingErrors });

/** Commands carry ticks as int32. */
const ticksMax = 2n ** 31n - 1n;
/** 10^78 is more than all base units there can be. */
const decimalsMax = 78;

/** Whole number as engine and sums of it give it. */
type Whole = number | bigint;

export interface AssetScale {
  /** Position in the configuration. */
  readonly no: number;
  readonly id: AssetId;
  /** Coins of engine units, 0 or more. */
  amount(units: Whole): string;
}
export interface MarketScale {
  /** Position in the configuration. */
  readonly no: number;
  readonly id: string;
  readonly config: MarketConfig;
  readonly base: AssetId;
  readonly quote: AssetId;
  /** Quote coins per base coin. @param ticks 0 or more */
  price(ticks: number): string;
  /**
   * @param field of the request, named in errors
   * @throws TRADING_NUMBER_INVALID, TRADING_PRICE_OFF_TICK, TRADING_ORDER_REJECTED (invalid-price, or invalid-trigger of a
   * trigger price): one that no command can carry
   */
  ticks(text: string, field?: 'price' | 'triggerPrice' | 'low' | 'high'): number;
  /** Base coins. @param lots 0 or more */
  size(lots: Whole): string;
  /** @throws TRADING_NUMBER_INVALID, TRADING_SIZE_OFF_LOT, TRADING_ORDER_REJECTED (invalid-lots) */
  lots(text: string, field?: 'size' | 'displaySize'): number;
  /** Quote coins of what was traded. */
  value(quoteUnits: Whole): string;
  /** Of a budget. @throws TRADING_NUMBER_INVALID, TRADING_ORDER_REJECTED (value-limit) */
  quoteUnits(text: string): number;
  baseAmount(units: Whole): string;
  quoteAmount(units: Whole): string;
}
export interface Scales {
  /** By position in the configuration. */
  readonly markets: readonly MarketScale[];
  readonly assets: readonly AssetScale[];
  /** @throws TRADING_MARKET_UNKNOWN */
  market(id: string): MarketScale;
  /** Coins of engine units. @throws RangeError for an asset the configuration does not have */
  amount(asset: number, units: Whole): string;
}
/** Of whole coins; `decimals` of a coin are its base units (18 for ether). */
export type DecimalsOf = (asset: AssetId) => number;

const texts = (step: Decimal) => (count: Whole) =>
  decimalText({ whole: BigInt(count) * step.whole, places: step.places });

/** Coins in one engine unit of the asset. */
function unitOf(id: AssetId, unitExponent: number, decimalsOf: DecimalsOf): Ratio {
  const decimals = decimalsOf(id);
  if (!Number.isInteger(decimals) || decimals < 0 || decimals > decimalsMax)
    throw fail('MATCHING_CONFIG_INVALID', `the decimals of ${id} are not 0 to ${decimalsMax}`, { asset: id });
  return powerOfTen(1n, unitExponent - decimals);
}
function terminating(what: string, ratio: Ratio): Decimal {
  const found = decimalOf(ratio);
  if (found === undefined)
    throw fail(
      'MATCHING_CONFIG_INVALID',
      `${what} is ${ratio.numerator}/${ratio.denominator}, which no decimal number is`,
      { what },
    );
  return found;
}

interface Units {
  readonly id: AssetId;
  readonly unit: Ratio;
  readonly step: Decimal;
}

/** A number of a request. */
interface Written {
  readonly field: string;
  readonly text: string;
  readonly step: Decimal;
  readonly name: 'tick' | 'lot' | 'unit';
}

function marketScale(no: number, config: MarketConfig, base: Units, quote: Units): MarketScale {
  const { id } = config;
  const ratioOf = ({ unit }: Units, units: number): Ratio => ({
    ...unit,
    numerator: unit.numerator * BigInt(units),
  });
  const lot = ratioOf(base, config.lotUnits);
  const lotStep = terminating(`the lot of market ${id}`, lot);
  const tickStep = terminating(`the tick of market ${id}`, quotient(ratioOf(quote, config.tickUnits), lot));
  const priceText = texts(tickStep);
  const value = texts(quote.step);
  const within = (count: bigint, max: bigint, beyond: RejectReason, explanation: Explanation): number => {
    if (count > max) throw rejection(beyond, { market: id, explanation });
    return Number.parseInt(count.toString(), 10);
  };
  const beyondMax = (field: string, text: string, max: string): Explanation => ({
    why: `\`${field}\` ${text} is above the most there is here, ${max}.`,
    fields: [field],
  });
  /** @throws `code` with the nearest that would do */
  const countOf = (
    { field, text, step, name }: Written,
    code: 'TRADING_PRICE_OFF_TICK' | 'TRADING_SIZE_OFF_LOT' | 'TRADING_NUMBER_INVALID',
  ): bigint => {
    const number = parseDecimal(field, text);
    const count = stepsIn(number, step);
    if (count !== undefined) return count;
    const stepText = decimalText(step);
    const nearest = stepsAround(number, step).map(decimalText);
    throw fail(
      code,
      `${id}: \`${field}\` ${text} is not a multiple of ${stepText}, the ${name}; nearest: ${nearest.join(' and ')}`,
      { market: id, field, [name === 'unit' ? name : `${name}Size`]: stepText, nearest },
    );
  };
  return {
    no,
    id,
    config,
    base: base.id,
    quote: quote.id,
    price: priceText,
    ticks: (text, field = 'price') =>
      within(
        countOf({ field, text, step: tickStep, name: 'tick' }, 'TRADING_PRICE_OFF_TICK'),
        ticksMax,
        field === 'triggerPrice' ? 'invalid-trigger' : 'invalid-price',
        beyondMax(field, text, priceText(config.maxPrice)),
      ),
    size: texts(lotStep),
    lots: (text, field = 'size') =>
      within(
        countOf({ field, text, step: lotStep, name: 'lot' }, 'TRADING_SIZE_OFF_LOT'),
        BigInt(orderValueMax),
        'invalid-lots',
        beyondMax(field, text, texts(lotStep)(config.maxOrderLots)),
      ),
    value,
    quoteUnits: (text) =>
      within(
        countOf({ field: 'budget', text, step: quote.step, name: 'unit' }, 'TRADING_NUMBER_INVALID'),
        BigInt(orderValueMax),
        'value-limit',
        beyondMax('budget', text, value(config.maxOrderValue)),
      ),
    baseAmount: texts(base.step),
    quoteAmount: value,
  };
}

/** @throws MATCHING_CONFIG_INVALID when a tick or lot is no decimal number, and what `decimalsOf` throws */
export function createScales(config: EngineConfig, decimalsOf: DecimalsOf): Scales {
  const units = engineAssets(config).map(({ id }, no): Units => {
    const unit = unitOf(id, config.assets[no]?.unitExponent ?? 0, decimalsOf);
    return { id, unit, step: terminating(`the unit of ${id}`, unit) };
  });
  const at = (no: number): Units => {
    const found = units[no];
    if (found === undefined) throw new RangeError(`asset ${no} of ${units.length}`);
    return found;
  };
  const markets = config.markets.map((market, no) =>
    marketScale(no, market, at(market.base), at(market.quote)),
  );
  const byId = new Map(markets.map((market) => [market.id, market]));
  return {
    markets,
    assets: units.map(({ id, step }, no) => ({ no, id, amount: texts(step) })),
    market: (id) => {
      const found = byId.get(id);
      if (found === undefined)
        throw fail('TRADING_MARKET_UNKNOWN', `there is no market ${id.slice(0, 80)}`, {
          market: id.slice(0, 80),
        });
      return found;
    },
    amount: (asset, count) => texts(at(asset).step)(count),
  };
}
