/** Clients of the feed, as its contract describes them: they keep what they are told, and complain of a gap. */
import type {
  AccountChange,
  AccountSnapshot,
  BookView,
  ChannelKey,
  FeedListener,
  FeedMessage,
  FillView,
  MarketFeed,
  OrderView,
  SpotBalance,
} from '../../../../matching/trading/contract.ts';

type Of<C extends FeedMessage['channel']> = Extract<FeedMessage, { channel: C }>;

/** Hears a channel, also with pauses. */
export class Follower<C extends FeedMessage['channel']> {
  readonly messages: Of<C>[] = [];
  readonly texts: string[] = [];
  resets = 0;
  /** `seq` up to which it knows all. */
  seq: number;
  /** How often the chain was broken. */
  gaps = 0;
  readonly #key: ChannelKey;
  readonly #take: (message: Of<C>) => void;
  #end: (() => void) | undefined;
  /** What came before its snapshot. */
  #held: { readonly message: FeedMessage; readonly text: string }[] | undefined;

  constructor(key: ChannelKey, seq: number, take: (message: Of<C>) => void = () => undefined) {
    this.#key = key;
    this.seq = seq;
    this.#take = take;
  }
  get isListening(): boolean {
    return this.#end !== undefined;
  }

  readonly #listener: FeedListener = {
    onMessage: (message, text) => {
      if (this.#held === undefined) this.#hear(message, text);
      else this.#held.push({ message, text });
    },
    onReset: () => {
      this.resets++;
      this.#end = undefined;
    },
  };
  #hear(message: FeedMessage, text: string): void {
    if (message.seq <= this.seq) {
      // In its snapshot already.
      if (this.messages.length > 0) this.gaps++;
      return;
    }
    if (message.prevSeq > this.seq) this.gaps++;
    this.seq = message.seq;
    this.messages.push(message as Of<C>);
    this.texts.push(text);
    this.#take(message as Of<C>);
  }
  /** Listens and keeps what it hears until it has a snapshot. */
  hold(feed: MarketFeed): void {
    this.#held = [];
    this.listen(feed);
  }
  /** It has a snapshot of this command. */
  begin(seq: number): void {
    this.seq = seq;
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const { message, text } of held) this.#hear(message, text);
  }

  listen(feed: MarketFeed): void {
    const ask = feed.subscribe(this.#key, this.#listener);
    if (ask === false) throw new Error('a subscription without a past was refused');
    this.#end = ask.end;
  }
  /** @returns whether it could go on where it was */
  resume(feed: MarketFeed): boolean {
    const ask = feed.subscribe(this.#key, this.#listener, this.seq);
    if (ask === false) return false;
    this.#end = ask.end;
    return true;
  }
  leave(): void {
    this.#end?.();
    this.#end = undefined;
  }
}

export interface Levels {
  readonly bids: readonly (readonly string[])[];
  readonly asks: readonly (readonly string[])[];
}
/** A book of a snapshot and what was told since. */
export class BookClient {
  readonly follower: Follower<'book'>;
  #bids: Map<string, string>;
  #asks: Map<string, string>;

  constructor(key: ChannelKey, { seq, bids, asks }: BookView) {
    this.#bids = new Map(bids);
    this.#asks = new Map(asks);
    this.follower = new Follower<'book'>(key, seq, (message) => {
      this.#apply(this.#bids, message.bids);
      this.#apply(this.#asks, message.asks);
    });
  }
  #apply(side: Map<string, string>, levels: readonly (readonly [string, string])[]): void {
    for (const [price, size] of levels) {
      if (/^[0.]+$/.test(size)) side.delete(price);
      else side.set(price, size);
    }
  }
  get levels(): Levels {
    const sorted = (side: Map<string, string>, sign: 1 | -1) =>
      [...side].sort(([a], [b]) => sign * (Number.parseFloat(a) - Number.parseFloat(b)));
    return { bids: sorted(this.#bids, -1), asks: sorted(this.#asks, 1) };
  }
}

/** Orders and balances of an account, of a snapshot and what was told since. */
export class AccountClient {
  readonly follower: Follower<'account'>;
  readonly fills: FillView[] = [];
  readonly ended: Extract<AccountChange, { kind: 'order-ended' }>[] = [];
  #orders = new Map<string, OrderView>();
  #balances = new Map<string, SpotBalance>();

  constructor(key: ChannelKey) {
    this.follower = new Follower<'account'>(key, -1, ({ changes }) => {
      for (const change of changes) this.#apply(change);
    });
  }
  begin(snapshot: AccountSnapshot): void {
    this.#orders = ordersOf(snapshot);
    this.#balances = balancesOf(snapshot);
    this.follower.begin(snapshot.seq);
  }
  #apply(change: AccountChange): void {
    switch (change.kind) {
      case 'order':
        this.#orders.set(change.order.orderId, change.order);
        return;
      case 'order-ended':
        this.#orders.delete(change.orderId);
        this.ended.push(change);
        return;
      case 'fill':
        this.fills.push(change.fill);
        return;
      case 'balance':
        this.#balances.set(change.balance.asset, change.balance);
        return;
    }
  }
  /** As a snapshot has it. */
  get state(): Pick<AccountSnapshot, 'orders' | 'balances'> {
    const isNothing = (text: string): boolean => /^[0.]+$/.test(text);
    return {
      orders: [...this.#orders.values()].sort(
        (a, b) => Number.parseInt(a.orderId, 10) - Number.parseInt(b.orderId, 10),
      ),
      balances: [...this.#balances.values()]
        .filter(({ available, held }) => !isNothing(available) || !isNothing(held))
        .sort((a, b) => (a.asset < b.asset ? -1 : 1)),
    };
  }
}
const ordersOf = ({ orders }: AccountSnapshot): Map<string, OrderView> =>
  new Map(orders.map((order) => [order.orderId, order]));
const balancesOf = ({ balances }: AccountSnapshot): Map<string, SpotBalance> =>
  new Map(balances.map((balance) => [balance.asset, balance]));
