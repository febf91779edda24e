/**
 * A client of the trading API. Small: `ws` and node only.
 *
 * @example
 *   const client = createTradingClient({ baseUrl: 'https://api.exchange.example', key: { id, privateKey } });
 *   await client.place({ accountId, market: 'ETH-USD', side: 'buy', type: 'limit', price: '2000.00', size: '0.5' });
 *   const stream = client.stream();
 *   await stream.book('ETH-USD', { onBook: (book) => show(book.bids[0], book.asks[0]) });
 */
import type { Credentials } from './credentials.ts';
import { RestClient } from './rest.ts';
import { StreamClient, type StreamOptions } from './stream.ts';

export type { Credentials } from './credentials.ts';
export type { ChannelHandlers, ChannelName, ResyncReason, SpecOf } from './heard-channel.ts';
export type { LocalBook } from './local-book.ts';
export type { BookHandlers, StreamClient, StreamOptions, Subscription } from './stream.ts';

export class TradingClient extends RestClient {
  /** Connects at once and comes back when it is lost; each call is a connection of its own. */
  stream(options: StreamOptions = {}): StreamClient {
    const { baseUrl, credentials, timestampMs } = this;
    return new StreamClient({ baseUrl, credentials, timestampMs }, options);
  }
}

export const createTradingClient = (options: { readonly baseUrl: string } & Credentials): TradingClient =>
  new TradingClient(options);
