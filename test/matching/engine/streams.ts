/**
 * Streams of commands that make everything collide: few accounts, few prices, balances that run out, orders of every kind,
 * and in every field now and then what must be refused. A stream depends on its seed, its configuration and the events it is
 * shown, and on nothing else.
 */
import type { Command, CommandBody, PlaceFields } from '../../../matching/commands.ts';
import type { EngineConfig, MarketConfig } from '../../../matching/config.ts';
import type { EngineEvent } from '../../../matching/events.ts';
import { orderTypes, selfTradeModes, sides, timesInForce } from '../../../matching/vocabulary.ts';
import { Observed, type OpenOrder } from './observed.ts';
import { Random } from './random.ts';

type Of<K extends CommandBody['kind']> = Extract<CommandBody, { kind: K }>;
const accountsOpened = 4;
const creditsFirst = 20;
export const clientIdsOfStreams = [0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n, 1n << 32n, (1n << 64n) - 1n] as const;

export class Stream {
  readonly #random: Random;
  readonly #config: EngineConfig;
  readonly #observed: Observed;
  #seq = 0;
  #timeMs = 1_700_000_000_000;
  #position = 0;

  constructor(config: EngineConfig, seed: number) {
    this.#random = new Random(seed);
    this.#config = config;
    this.#observed = new Observed(config);
  }

  see(events: readonly EngineEvent[]): void {
    this.#observed.see(events);
  }

  next(): Command {
    this.#seq += 1;
    // Clocks jump, also back.
    this.#timeMs += this.#random.chance(2) ? -500 : this.#random.from(0, 250);
    return { ...this.#body(), seq: this.#seq, timeMs: this.#timeMs };
  }

  #body(): CommandBody {
    const random = this.#random;
    if (this.#seq <= accountsOpened) return { kind: 'open-account', account: this.#seq };
    if (this.#seq <= accountsOpened + creditsFirst || random.chance(5)) return this.#credit();
    const kind = random.from(0, 99);
    if (kind < 66) return this.#place();
    if (kind < 82) return this.#amend();
    if (kind < 88) return { kind: 'cancel', ...this.#orderNamed() };
    if (kind < 89) return this.#cancelAll();
    if (kind < 93) return this.#setMarket();
    if (kind < 94) return this.#setBand();
    if (kind < 96) return this.#setAccount();
    if (kind < 99) return this.#debit();
    return { kind: 'open-account', account: random.from(-1, accountsOpened + 4) };
  }

  #account(): number {
    return this.#random.chance(2) ? this.#random.of([-1, 0, 7, 99]) : this.#random.from(1, accountsOpened);
  }
  #marketNumber(): number {
    const { markets } = this.#config;
    return this.#random.chance(1)
      ? this.#random.of([-1, markets.length, 77])
      : this.#random.from(0, markets.length - 1);
  }
  #market(number: number): MarketConfig {
    return (this.#config.markets[number] ?? this.#config.markets[0]) as MarketConfig;
  }

  #credit(): Of<'credit'> {
    const random = this.#random;
    const { asset, large } = this.#assetAndLargeOrder();
    const units = random.chance(93) ? (large * BigInt(random.from(1, 300))) / 100n : random.of(oddUnits);
    if (!random.chance(10)) this.#position += random.from(1, 2);
    return {
      kind: 'credit',
      account: this.#account(),
      asset: random.chance(2) ? 9 : asset,
      units,
      // Never far ahead: every later credit would be a duplicate.
      position: random.chance(2) ? random.of([0, -1, 0.5, Number.NaN, 2 ** 53]) : this.#position,
    };
  }
  /** An asset, and what the largest order of a market holds of it. */
  #assetAndLargeOrder(): { asset: number; large: bigint } {
    const { base, quote, lotUnits, maxOrderLots, maxOrderValue } = this.#market(this.#marketNumber());
    return this.#random.chance(50)
      ? { asset: base, large: BigInt(maxOrderLots) * BigInt(lotUnits) }
      : { asset: quote, large: BigInt(maxOrderValue) };
  }
  /** Large enough that accounts run dry. */
  #debit(): Of<'debit'> {
    const random = this.#random;
    const account = random.chance(15) ? 0 : this.#account();
    const { asset, large } = this.#assetAndLargeOrder();
    const units = random.chance(90) ? (large * BigInt(random.from(1, 600))) / 100n : random.of(oddUnits);
    return {
      kind: 'debit',
      account,
      asset: random.chance(2) ? -1 : asset,
      units,
      ...(random.chance(30) ? { clientOrderId: this.#clientId() } : {}),
    };
  }

  /** Around the middle of the ladder, so that orders meet. */
  #price({ minPrice, maxPrice }: MarketConfig): number {
    const random = this.#random;
    if (random.chance(2)) return random.of([minPrice - 1, maxPrice + 1, -5, minPrice, maxPrice]);
    const middle = Math.floor((minPrice + maxPrice) / 2);
    if (random.chance(10)) return random.from(minPrice, maxPrice);
    return Math.min(maxPrice, Math.max(minPrice, middle + random.from(-4, 4)));
  }
  /** Mostly on the side of the last price from which it is reached later. */
  #trigger(market: number, side: PlaceFields['side']): number {
    const random = this.#random;
    if (random.chance(15)) return this.#price(this.#market(market));
    const away = side === 'buy' ? random.from(1, 3) : random.from(-3, -1);
    return this.#observed.lastPriceOf(market) + away;
  }
  #lots({ minOrderLots, maxOrderLots }: MarketConfig): number {
    const random = this.#random;
    if (random.chance(3)) return random.of(oddNumbers);
    if (random.chance(3)) return maxOrderLots + random.from(-1, 1);
    if (maxOrderLots > 2 ** 40 && random.chance(70)) return random.from(minOrderLots, maxOrderLots);
    return random.from(minOrderLots, Math.min(maxOrderLots, minOrderLots + 14));
  }
  #budget(market: MarketConfig): number {
    const random = this.#random;
    if (random.chance(4)) return random.of([...oddNumbers, market.maxOrderValue + 1]);
    return random.from(1, random.chance(70) ? Math.ceil(market.maxOrderValue / 4) : market.maxOrderValue);
  }

  #place(): Of<'place'> {
    const random = this.#random;
    const market = this.#marketNumber();
    const inAuction = this.#observed.stateOf(market) === 'auction';
    const type = random.chance(inAuction ? 85 : 50) ? 'limit' : random.of(orderTypes);
    const named = { account: this.#account(), market, side: random.of(sides), ...this.#namedAndMode() };
    const order = { ...named, ...this.#shape({ ...named, type }) };
    return { kind: 'place', ...(random.chance(2) ? this.#spoiled(this.#market(market), order) : order) };
  }
  #namedAndMode(): Partial<PlaceFields> {
    const random = this.#random;
    return {
      ...(random.chance(80) ? { selfTrade: random.of(selfTradeModes) } : {}),
      ...(random.chance(30) ? { clientOrderId: this.#clientId() } : {}),
    };
  }
  #clientId(): bigint {
    return this.#random.of(clientIdsOfStreams);
  }

  #shape({
    market: number,
    type,
    side,
  }: Pick<PlaceFields, 'market' | 'type' | 'side'>): Pick<PlaceFields, 'type' | 'timeInForce'> &
    Partial<PlaceFields> {
    const random = this.#random;
    const market = this.#market(number);
    const lots = this.#lots(market);
    const price = this.#price(market);
    const triggerPrice = this.#trigger(number, side);
    const quantity =
      side === 'sell' ? { lots } : { budget: this.#budget(market), ...(random.chance(40) ? { lots } : {}) };
    switch (type) {
      case 'limit':
        return { type, price, lots, ...this.#limitExtras(number, lots) };
      case 'market':
        return { type, timeInForce: 'ioc', ...quantity };
      case 'stop':
        return { type, timeInForce: 'ioc', triggerPrice, ...quantity };
      case 'stop-limit':
        return { type, timeInForce: 'gtc', triggerPrice, price, lots };
    }
  }
  #limitExtras(market: number, lots: number): Pick<PlaceFields, 'timeInForce'> & Partial<PlaceFields> {
    const random = this.#random;
    const inAuction = this.#observed.stateOf(market) === 'auction';
    const kind = random.from(inAuction && random.chance(90) ? 3 : 0, 9);
    if (kind < 1) return { timeInForce: 'ioc' };
    if (kind < 2) return { timeInForce: 'fok' };
    const postOnly = kind < 3;
    const displayLots = random.chance(5)
      ? random.of(oddNumbers)
      : random.from(1, Number.isFinite(lots) && lots > 2 ? Math.ceil(lots / 2) : 1);
    return { timeInForce: 'gtc', postOnly, ...(kind < 6 ? { displayLots } : {}) };
  }

  /** A field or two that may not go with the rest. */
  #spoiled(market: MarketConfig, order: PlaceFields): PlaceFields {
    const random = this.#random;
    return {
      ...order,
      ...random.of<Partial<PlaceFields>>([
        { timeInForce: random.of(timesInForce) },
        { postOnly: true },
        { price: this.#price(market) },
        { price: 0 },
        { triggerPrice: this.#price(market) },
        { triggerPrice: 0 },
        { lots: 0 },
        { displayLots: 1 },
        { budget: 100 },
        { budget: 0 },
      ]),
    };
  }

  /** Mostly an order of the account that is named with it. */
  #orderNamed(): { account: number; orderId?: number; clientOrderId?: bigint } {
    const random = this.#random;
    if (random.chance(5)) return { account: this.#account(), clientOrderId: this.#clientId() };
    const { orderId, account } = this.#openOrder() ?? { orderId: this.#seq - 1, account: 1 };
    if (random.chance(2)) return { account: this.#account(), orderId };
    if (random.chance(2)) return { account, orderId: random.of([...oddNumbers, random.from(1, this.#seq)]) };
    return { account, orderId };
  }
  #openOrder(): OpenOrder | undefined {
    const open = this.#observed.openOrders;
    return open.length === 0 ? undefined : this.#random.of(open);
  }
  #amend(): Of<'amend'> {
    const random = this.#random;
    const order = this.#openOrder();
    if (order === undefined || random.chance(10)) return { kind: 'amend', ...this.#orderNamed(), price: 1 };
    const { orderId, account, market, price, rest } = order;
    const lots = random.chance(60) ? rest + random.from(-3, 3) : this.#lots(this.#market(market));
    const newPrice = random.chance(60) ? price + random.from(-2, 2) : this.#price(this.#market(market));
    return {
      kind: 'amend',
      account,
      orderId,
      ...(random.chance(45) ? { price: newPrice } : {}),
      ...(random.chance(60) ? { lots } : {}),
    };
  }
  #cancelAll(): Of<'cancel-all'> {
    const account = this.#account();
    return this.#random.chance(50)
      ? { kind: 'cancel-all', account }
      : { kind: 'cancel-all', account, market: this.#marketNumber() };
  }

  #setMarket(): Of<'set-market'> {
    const random = this.#random;
    const market = this.#marketNumber();
    const usual = this.#observed.stateOf(market) === 'open' ? 'auction' : 'open';
    const state = random.chance(75) ? usual : random.of(['closed', 'auction', 'halted', 'open'] as const);
    return { kind: 'set-market', market, state };
  }
  #setBand(): Of<'set-band'> {
    const random = this.#random;
    const number = this.#marketNumber();
    const market = this.#market(number);
    const ladder = { low: market.minPrice, high: market.maxPrice };
    const narrow = { low: this.#price(market), high: this.#price(market) };
    return { kind: 'set-band', market: number, ...(random.chance(60) ? ladder : narrow) };
  }
  #setAccount(): Of<'set-account'> {
    const random = this.#random;
    const feeTier = random.from(random.chance(10) ? -1 : 0, random.chance(10) ? 3 : 2);
    return { kind: 'set-account', account: this.#account(), blocked: random.chance(10), feeTier };
  }
}

const oddNumbers = [
  0,
  -1,
  0.5,
  1.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.MAX_SAFE_INTEGER,
  2 ** 53,
  -(2 ** 40),
  5e-324,
];
const oddUnits = [0n, -1n, 1n, 2n ** 61n, 2n ** 62n - 1n, 2n ** 62n, 2n ** 63n - 1n, -(2n ** 63n)];
