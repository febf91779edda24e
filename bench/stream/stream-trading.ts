/** What the stream stands on, of an engine's link and a feed alone: no PostgreSQL, so no settlement, transfers or fills. */
import type { Clock } from '#core/ports';
import type { EngineLink } from '#matching/link';
import type { StreamTrading } from '../../api/stream/channels.ts';
import type { MarketConfig } from '../../matching/config.ts';
import { plainMarket } from '../../matching/csv/plain-config.ts';
import type { TradingAccounts } from '../../matching/trading/accounts.ts';
import { createEngineCommands } from '../../matching/trading/commands.ts';
import { EngineWatch } from '../../matching/trading/feed/engine-watch.ts';
import type { LinkFeed } from '../../matching/trading/feed/feed.ts';
import { createMarkets } from '../../matching/trading/markets.ts';
import { createOrders } from '../../matching/trading/orders.ts';
import type { Scales } from '../../matching/trading/scale.ts';

/** Prices from 10.00 to 5,000.00 and sizes of four digits, with the exponents of its assets; free of fees. */
export const streamMarket: MarketConfig = {
  ...plainMarket,
  minPrice: 1_000,
  maxPrice: 500_000,
  maxOrderLots: 1_000_000,
  maxOrderValue: 10 ** 14,
};

export interface StreamParts {
  readonly link: EngineLink;
  readonly feed: LinkFeed;
  readonly scales: Scales;
  readonly accounts: TradingAccounts;
  readonly clock: Clock;
}

export function streamTradingOf({ link, feed, scales, accounts, clock }: StreamParts): StreamTrading {
  const commands = createEngineCommands(link);
  const orders = createOrders({ commands, scales, accounts });
  const markets = createMarkets({ commands, scales, accounts });
  const watch = new EngineWatch({ link, clock });
  watch.begin();
  return {
    feed,
    engineStatus: () => watch.status,
    onEngineStatus: (listener) => watch.listen(listener),
    market: (id) => markets.market(id),
    book: (id, levels) => feed.book(id, levels),
    ticker: (id) => feed.ticker(id),
    account: async (id) => await feed.account(id),
    place: async (order) => await orders.place(order),
    placeAll: async (all) => await orders.placeAll(all),
    amend: async (name, change) => await orders.amend(name, change),
    cancel: async (name) => await orders.cancel(name),
    cancelEach: async (names) => await orders.cancelEach(names),
    cancelAll: async (options) => await orders.cancelAll(options),
  };
}
