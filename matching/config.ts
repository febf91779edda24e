/** What an engine is made for: assets, markets, fees, limits. Part of a journal's header; a change of it begins a new journal. */
import { z } from 'zod';
import { errorsOf } from '#core/errors';
import { matchingErrors } from './errors.ts';
import { marketStates } from './vocabulary.ts';

const fail = errorsOf(matchingErrors);

/** Amounts of one order in engine units: sums and products of integers stay exact in a double. */
export const orderValueMax = Number.MAX_SAFE_INTEGER;
/** Of a price ladder: 2^20 ticks of 8 bytes and their bitmaps are 8.2 MiB per side, and as much again once a stop waits there. */
export const ladderTicksMax = 1 << 20;
/** Each slice of an iceberg may be a trade and two events: more of them would let one order stop the engine. */
export const icebergSlicesMax = 100;
/** A snapshot has them in one text, of at most 33 characters each; V8 refuses one of more than 2^29. */
const clientIdsKeptMax = 2 ** 23;
export const assetsMax = 1_024;
export const marketsMax = 1_024;
export const feeTiersMax = 16;
export const feePpmMax = 100_000;

const count = (max: number) => z.number().int().min(1).max(max);
const priceTicks = z
  .number()
  .int()
  .min(1)
  .max(2 ** 31 - 1);

const assetSchema = z.strictObject({
  /** As the ledger names it. */
  id: z.string().min(1).max(200),
  /** One engine unit is 10^unitExponent base units of the ledger; what is smaller cannot be traded. */
  unitExponent: z.number().int().min(0).max(60),
});
const marketSchema = z.strictObject({
  id: z.string().regex(/^[A-Z0-9]{1,16}-[A-Z0-9]{1,16}$/),
  /** Positions in `assets`. */
  base: z.number().int().min(0),
  quote: z.number().int().min(0),
  /** Engine units of the base asset in one lot. */
  lotUnits: count(orderValueMax),
  /** Engine units of the quote asset that one lot costs at one tick. */
  tickUnits: count(orderValueMax),
  /** The ladder; no order is ever outside. Ticks. */
  minPrice: priceTicks,
  maxPrice: priceTicks,
  minOrderLots: count(orderValueMax),
  maxOrderLots: count(orderValueMax),
  /** Quote units. */
  maxOrderValue: count(orderValueMax),
  /** How far from the best price a market order may go, parts per million of that price. */
  collarPpm: z.number().int().min(0).max(1_000_000),
  /** By fee tier of the account. */
  fees: z
    .array(
      z.strictObject({
        makerPpm: z.number().int().min(0).max(feePpmMax),
        takerPpm: z.number().int().min(0).max(feePpmMax),
      }),
    )
    .min(1)
    .max(feeTiersMax),
  state: z.enum(marketStates),
});

export const engineConfigSchema = z.strictObject({
  assets: z.array(assetSchema).min(1).max(assetsMax),
  markets: z.array(marketSchema).min(1).max(marketsMax),
  /** Preallocated: orders resting or waiting, and accounts, the house included. */
  ordersMax: count(2 ** 24),
  accountsMax: count(2 ** 22),
  limits: z.strictObject({
    /** Per account, resting and waiting. */
    openOrders: count(2 ** 24),
    /** Per account, place and amend; 0 is no limit. */
    ordersPerSecond: z.number().int().min(0).max(1_000_000),
  }),
  /** Client order ids that stay taken after their order has ended. */
  clientIdsKept: count(clientIdsKeptMax),
});
export type EngineConfig = Readonly<z.output<typeof engineConfigSchema>>;
export type MarketConfig = EngineConfig['markets'][number];

/** What the fields together must hold. */
function problemOf({ assets, markets }: EngineConfig): string | undefined {
  if (new Set(assets.map(({ id }) => id)).size < assets.length) return 'two assets have the same id';
  if (new Set(markets.map(({ id }) => id)).size < markets.length) return 'two markets have the same id';
  const tiers = markets[0]?.fees.length;
  for (const market of markets) {
    const { id, base, quote, minPrice, maxPrice, lotUnits, tickUnits, minOrderLots, maxOrderLots } = market;
    if (base >= assets.length || quote >= assets.length || base === quote)
      return `market ${id}: base and quote are two of the assets`;
    if (maxPrice < minPrice || maxPrice - minPrice >= ladderTicksMax)
      return `market ${id}: minPrice to maxPrice is a ladder of 1 to ${ladderTicksMax} ticks`;
    if (minOrderLots > maxOrderLots) return `market ${id}: minOrderLots is above maxOrderLots`;
    if (BigInt(maxPrice) * BigInt(maxOrderLots) * BigInt(tickUnits) > BigInt(orderValueMax))
      return `market ${id}: an order of maxOrderLots at maxPrice is worth more than 2^53 - 1 units`;
    if (BigInt(maxOrderLots) * BigInt(lotUnits) > BigInt(orderValueMax))
      return `market ${id}: maxOrderLots are more than 2^53 - 1 units`;
    if (market.fees.length !== tiers) return `market ${id}: every market has fees for the same tiers`;
  }
  return undefined;
}

/** @throws MATCHING_CONFIG_INVALID naming the field */
export function parseEngineConfig(value: unknown): EngineConfig {
  const parsed = engineConfigSchema.safeParse(value);
  if (!parsed.success)
    throw fail('MATCHING_CONFIG_INVALID', `the engine's configuration: ${z.prettifyError(parsed.error)}`);
  const problem = problemOf(parsed.data);
  if (problem !== undefined) throw fail('MATCHING_CONFIG_INVALID', `the engine's configuration: ${problem}`);
  return parsed.data;
}
