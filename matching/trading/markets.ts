/** Markets as they are, and what operators do to them and to accounts. */
import { invariant } from '#core/errors';
import { feeTiersMax } from '../config.ts';
import type { EngineView } from '../link/types.ts';
import type { TradingAccounts } from './accounts.ts';
import { type EngineCommands, takenEvent } from './commands.ts';
import type { MarketView, TradingOperations } from './contract.ts';
import { type Explanation, rejection } from './rejections.ts';
import type { MarketScale, Scales } from './scale.ts';

export type MarketOperations = Pick<
  TradingOperations,
  'markets' | 'market' | 'setMarketState' | 'setBand' | 'setAccount'
>;
export interface MarketContext {
  readonly commands: EngineCommands;
  readonly scales: Scales;
  readonly accounts: TradingAccounts;
}

function marketView(scale: MarketScale, view: EngineView): MarketView {
  const { config } = scale;
  const now = view.market(scale.no);
  invariant(now !== undefined, 'the engine has every market of its configuration', { market: scale.id });
  return {
    id: scale.id,
    base: scale.base,
    quote: scale.quote,
    state: now.state,
    tickSize: scale.price(1),
    lotSize: scale.size(1),
    minSize: scale.size(config.minOrderLots),
    maxSize: scale.size(config.maxOrderLots),
    maxValue: scale.value(config.maxOrderValue),
    minPrice: scale.price(config.minPrice),
    maxPrice: scale.price(config.maxPrice),
    bandLow: scale.price(now.bandLow),
    bandHigh: scale.price(now.bandHigh),
    collarPpm: config.collarPpm,
    fees: config.fees,
    lastPrice: now.lastPrice === 0 ? null : scale.price(now.lastPrice),
  };
}

/** The engine would refuse it too, but without saying which. */
function bandProblem(scale: MarketScale, low: number, high: number): Explanation | undefined {
  const { minPrice, maxPrice } = scale.config;
  if (low > high)
    return {
      why: `\`low\` ${scale.price(low)} is above \`high\` ${scale.price(high)}.`,
      fields: ['low', 'high'],
    };
  const fields = [...(low < minPrice ? ['low'] : []), ...(high > maxPrice ? ['high'] : [])];
  const band = `${scale.price(low)} to ${scale.price(high)}`;
  const range = `${scale.price(minPrice)} to ${scale.price(maxPrice)}`;
  return fields.length === 0
    ? undefined
    : { why: `The band ${band} is not within the prices of the market, ${range}.`, fields };
}

export function createMarkets({ commands, scales, accounts }: MarketContext): MarketOperations {
  const market = (id: string): MarketView => marketView(scales.market(id), commands.view());
  return {
    markets: () => {
      const view = commands.view();
      return scales.markets.map((scale) => marketView(scale, view));
    },
    market,
    setMarketState: async (id, state) => {
      const { no } = scales.market(id);
      takenEvent(await commands.submit({ kind: 'set-market', market: no, state }), scales);
      return market(id);
    },
    setBand: async (id, band) => {
      const scale = scales.market(id);
      const [low, high] = [scale.ticks(band.low, 'low'), scale.ticks(band.high, 'high')];
      const explanation = bandProblem(scale, low, high);
      if (explanation !== undefined) throw rejection('invalid-price', { market: id, explanation });
      takenEvent(await commands.submit({ kind: 'set-band', market: scale.no, low, high }), scales);
      return market(id);
    },
    setAccount: async (accountId, { blocked, feeTier }) => {
      if (!Number.isInteger(feeTier) || feeTier < 0 || feeTier >= feeTiersMax)
        throw rejection('unknown-tier');
      const account = await accounts.numberOf(accountId);
      if (account === undefined) throw rejection('unknown-account');
      takenEvent(await commands.submit({ kind: 'set-account', account, blocked, feeTier }), scales);
      return { blocked, feeTier };
    },
  };
}
