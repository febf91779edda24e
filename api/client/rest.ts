/** The REST half of the client: one method for each route, typed by what trading offers. */
import { type ErrorDetails, messageOf, type StrongroomError } from '#core/errors';
import type {
  AccountSnapshot,
  BookView,
  CandleView,
  FillView,
  MarketView,
  NewOrder,
  OrderName,
  OrderOutcome,
  OrderView,
  Shown,
  SpotTransfer,
  SpotTransferView,
  TickerView,
  TradeView,
  TradingOperations,
} from '#matching/trading/contract';
import type { BatchAnswer } from '../order-batch.ts';
import { type Credentials, createTimestamps, credentialHeaders } from './credentials.ts';
import { errorOfProblem, fail } from './errors.ts';

/** A transfer between main and spot waits a few seconds for its end. */
const requestTimeoutMs = 15_000;

type Query = Readonly<Record<string, string | number | undefined>>;
type Args<M extends 'trades' | 'candles'> = Parameters<TradingOperations[M]>[1];
type Paged<M extends 'openOrders' | 'fills'> = Parameters<TradingOperations[M]>[0];
/** With a limit of its own where none is given. */
type LimitOptional<T extends { readonly limit: number }> = Omit<T, 'limit'> & { readonly limit?: number };

interface Ask {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly query?: Query;
  readonly body?: unknown;
}

/** Of the methods below: @throws the API's own error under its own code, API_CLIENT_NO_ANSWER, API_CLIENT_ANSWER_INVALID */
export class RestClient {
  readonly baseUrl: string;
  readonly credentials: Credentials;
  readonly timestampMs = createTimestamps();

  /** @param options `baseUrl` is scheme, host and port: `https://api.exchange.example` */
  constructor({ baseUrl, ...credentials }: { readonly baseUrl: string } & Credentials) {
    this.baseUrl = baseUrl.replace(/\/+$/, '');
    this.credentials = credentials;
  }

  /** As all that is shown of the engine, with `engine`: `away` when it is as it was, because there is no connection to the engine. */
  async markets(): Promise<readonly Shown<MarketView>[]> {
    return (await this.#get<{ markets: Shown<MarketView>[] }>('/v1/markets')).markets;
  }
  async market(id: string): Promise<Shown<MarketView>> {
    return await this.#get(`/v1/markets/${encodeURIComponent(id)}`);
  }
  async book(market: string, levels?: number): Promise<Shown<BookView>> {
    return await this.#get(`/v1/markets/${encodeURIComponent(market)}/book`, { levels });
  }
  async ticker(market: string): Promise<Shown<TickerView>> {
    return await this.#get(`/v1/markets/${encodeURIComponent(market)}/ticker`);
  }
  /** Newest first; those before the trade `before`. */
  async trades(market: string, page: LimitOptional<Args<'trades'>> = {}): Promise<readonly TradeView[]> {
    const path = `/v1/markets/${encodeURIComponent(market)}/trades`;
    return (await this.#get<{ trades: TradeView[] }>(path, page)).trades;
  }
  /** By start, the one that is open now included. */
  async candles(market: string, range: LimitOptional<Args<'candles'>>): Promise<readonly CandleView[]> {
    const path = `/v1/markets/${encodeURIComponent(market)}/candles`;
    return (await this.#get<{ candles: CandleView[] }>(path, range)).candles;
  }

  async place(order: NewOrder): Promise<OrderOutcome> {
    return await this.#ask({ method: 'POST', path: '/v1/orders', body: order });
  }
  /** One answer for each, in their order; each stands for itself. */
  async placeAll(orders: readonly NewOrder[]): Promise<readonly (OrderOutcome | StrongroomError)[]> {
    return outcomesOf(await this.#ask({ method: 'POST', path: '/v1/orders/batch', body: { orders } }));
  }
  async amend(
    name: OrderName,
    change: { readonly price?: string; readonly size?: string },
  ): Promise<OrderOutcome> {
    return await this.#ask({ method: 'PATCH', path: '/v1/orders', body: { ...name, ...change } });
  }
  async cancel(name: OrderName): Promise<OrderOutcome> {
    return await this.#ask({ method: 'DELETE', path: '/v1/orders', query: { ...name } });
  }
  /** One answer for each, in their order; each stands for itself. */
  async cancelEach(orders: readonly OrderName[]): Promise<readonly (OrderOutcome | StrongroomError)[]> {
    return outcomesOf(await this.#ask({ method: 'POST', path: '/v1/orders/cancel-batch', body: { orders } }));
  }
  async cancelAll(
    options: Parameters<TradingOperations['cancelAll']>[0],
  ): Promise<{ readonly cancelled: number }> {
    return await this.#ask({ method: 'POST', path: '/v1/orders/cancel-all', body: options });
  }
  /** By id, oldest first; those after the id `after`. */
  async openOrders(options: LimitOptional<Paged<'openOrders'>>): Promise<readonly OrderView[]> {
    return (await this.#get<{ orders: OrderView[] }>('/v1/orders', options)).orders;
  }
  async order(name: OrderName): Promise<OrderView> {
    return await this.#get('/v1/orders/one', { ...name });
  }
  /** Settled ones, newest first; those before the trade `before`. */
  async fills(options: LimitOptional<Paged<'fills'>>): Promise<readonly FillView[]> {
    return (await this.#get<{ fills: FillView[] }>('/v1/fills', options)).fills;
  }

  /** Open orders and balances of the spot account. */
  async account(accountId: SpotTransfer['accountId']): Promise<Shown<AccountSnapshot>> {
    return await this.#get(`/v1/accounts/${accountId}/spot`);
  }
  /** Between main and spot account; safe to repeat with the same id. */
  async moveSpot({ id, ...body }: SpotTransfer): Promise<SpotTransferView> {
    return await this.#ask({ method: 'PUT', path: `/v1/spot-transfers/${id}`, body });
  }
  async spotTransfer(id: SpotTransfer['id']): Promise<SpotTransferView> {
    return await this.#get(`/v1/spot-transfers/${id}`);
  }

  async #get<T>(path: string, query?: Query): Promise<T> {
    return await this.#ask({ method: 'GET', path, ...(query === undefined ? {} : { query }) });
  }

  async #ask<T>({ method, path: bare, query, body: content }: Ask): Promise<T> {
    const path = `${bare}${queryText(query)}`;
    const body = content === undefined ? '' : JSON.stringify(content);
    const request = { method, path, body };
    const headers = {
      ...credentialHeaders(this.credentials, request, this.timestampMs(request)),
      ...(body === '' ? {} : { 'content-type': 'application/json' }),
    };
    let answer: Response;
    let text: string;
    try {
      answer = await fetch(`${this.baseUrl}${path}`, {
        method,
        headers,
        ...(body === '' ? {} : { body }),
        signal: AbortSignal.timeout(requestTimeoutMs),
      });
      text = await answer.text();
    } catch (error) {
      throw fail('API_CLIENT_NO_ANSWER', `${method} ${bare}: ${messageOf(error)}`, {}, error);
    }
    const value = jsonOf(text, `${method} ${bare}`);
    if (answer.ok) return value as T;
    throw errorOfProblem(value, headerDetails(answer));
  }
}

/** Of a batch, as the errors of each order would have been thrown. */
export const outcomesOf = ({ results }: BatchAnswer): readonly (OrderOutcome | StrongroomError)[] =>
  results.map((result) => ('ok' in result ? result.ok : errorOfProblem(result.problem)));

/** Fields that are undefined are left out. Always in the same order, as it is signed. */
function queryText(query: Query = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    if (value !== undefined) search.set(name, value.toString());
  return search.size === 0 ? '' : `?${search.toString()}`;
}

function jsonOf(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw fail('API_CLIENT_ANSWER_INVALID', `${what}: the answer is not JSON`, {}, error);
  }
}

function headerDetails(answer: Response): ErrorDetails {
  const retryAfter = answer.headers.get('retry-after');
  return { status: answer.status, ...(retryAfter === null ? {} : { retryAfterSeconds: retryAfter }) };
}
