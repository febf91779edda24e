/**
 * The feed of trading: market data, and what becomes of accounts, as messages in order; and what can be asked of the markets at
 * any time. It lives in the process of the api and is derived from the view that the link keeps.
 */
import type { Pool } from '#infra/db';
import type { SettledEngine } from '../../settlement/store.ts';
import { EngineWatch, type EngineWatchOptions } from './engine-watch.ts';
import { type Feed, type FeedOptions, LinkFeed } from './feed.ts';
import { settledHistory } from './history.ts';

export type { EngineWatch } from './engine-watch.ts';
export type { Feed } from './feed.ts';

export interface CreateFeedOptions extends Omit<FeedOptions, 'history'> {
  /** Of the settlement's database: candles and trades from before the feed began. */
  readonly pool: Pool;
  readonly engine: SettledEngine;
}
export const createFeed = ({ pool, engine, ...options }: CreateFeedOptions): Feed =>
  new LinkFeed({ ...options, history: settledHistory(pool, engine) });
export const createEngineWatch = (options: EngineWatchOptions): EngineWatch => new EngineWatch(options);
