/** The streaming half of the client: channels without gaps, also across lost connections, and orders over the same socket. */
import { isStrongroomError, type StrongroomError } from '#core/errors';
import {
  type ChannelKey,
  type EngineStatus,
  type FeedMessage,
  type NewOrder,
  type OrderName,
  type OrderOutcome,
  tradingLimits,
} from '#matching/trading/contract';
import type { BatchAnswer } from '../order-batch.ts';
import { keyOf } from '../stream/channel-key.ts';
import type { ServerMessage } from '../stream/messages.ts';
import { type ConnectionOptions, ReconnectingSocket } from './connection.ts';
import { errorOfProblem, fail } from './errors.ts';
import {
  type ChannelHandlers,
  type ChannelName,
  type ChannelSpec,
  HeardChannel,
  type ResyncReason,
  type SpecOf,
} from './heard-channel.ts';
import { LocalBook } from './local-book.ts';
import { outcomesOf } from './rest.ts';

const requestMs = 10_000;
/** Before a channel that could not be had for the moment is asked for again. */
const askAgainMs = 1_000;
/** Orders, those of batches each: fewer than the 64 a server takes, among which are accounts that are subscribed to. */
const inFlightMax = 56;

export interface Subscription {
  readonly end: () => void;
}
export interface BookHandlers {
  /** The book after a snapshot or a message. */
  readonly onBook: (book: LocalBook) => void;
  readonly onResync?: (reason: ResyncReason) => void;
  readonly onEnded?: (error: StrongroomError) => void;
}
export interface StreamOptions {
  /** The connection was lost and comes back, or, with `isFinal`, does not. */
  readonly onLost?: (why: StrongroomError, isFinal: boolean) => void;
  readonly onOpen?: () => void;
  /**
   * Of the engine: once on each connection, and at each change. While it is `away` channels are silent and what is known of them is
   * as it was; `live` comes when what was missed was heard.
   */
  readonly onEngine?: (status: EngineStatus) => void;
}

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: StrongroomError) => void;
  readonly timer: NodeJS.Timeout;
  readonly orders: number;
}
interface Opening {
  readonly resolve: () => void;
  readonly reject: (error: StrongroomError) => void;
}

export class StreamClient {
  readonly #socket: ReconnectingSocket;
  readonly #options: StreamOptions;
  readonly #channels = new Map<ChannelKey, HeardChannel>();
  readonly #openings = new Map<HeardChannel, Opening>();
  readonly #requests = new Map<string, Pending>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #ids = 0;
  /** Of the requests without an answer. */
  #orders = 0;
  #engine: EngineStatus | undefined;
  #final: StrongroomError | undefined;

  constructor(connection: Omit<ConnectionOptions, 'events'>, options: StreamOptions = {}) {
    this.#options = options;
    this.#socket = new ReconnectingSocket({
      ...connection,
      events: {
        onOpen: () => {
          for (const channel of this.#channels.values()) this.#ask(channel, 'resume');
          options.onOpen?.();
        },
        onText: (text) => {
          this.#take(JSON.parse(text) as ServerMessage | FeedMessage);
        },
        onLost: (why, isFinal) => {
          this.#lost(why, isFinal);
        },
      },
    });
  }

  get isOpen(): boolean {
    return this.#socket.isOpen;
  }

  /** Undefined while there is no connection to the server that could say it. */
  get engine(): EngineStatus | undefined {
    return this.#engine;
  }

  /**
   * Resolves when the channel is heard; again for the same channel takes the place of the one before.
   * @throws what the server refuses it with, API_CLIENT_CLOSED
   */
  async subscribe<S extends SpecOf<ChannelName>>(
    spec: S,
    handlers: ChannelHandlers<S['channel']>,
  ): Promise<Subscription> {
    if (this.#final !== undefined) throw this.#final;
    const plain: ChannelSpec = spec;
    const key = keyOf(plain);
    // The channel gives only what the spec names.
    const channel = new HeardChannel(plain, handlers as unknown as ChannelHandlers<ChannelName>);
    const before = this.#channels.get(key);
    if (before !== undefined) {
      this.#openings.get(before)?.reject(fail('API_CLIENT_CLOSED', `${key} was asked for again meanwhile`));
      this.#openings.delete(before);
    }
    this.#channels.set(key, channel);
    await new Promise<void>((resolve, reject) => {
      this.#openings.set(channel, { resolve, reject });
      if (this.#socket.isOpen) this.#ask(channel, 'anew');
    });
    return {
      end: () => {
        if (this.#channels.get(key) !== channel) return;
        this.#channels.delete(key);
        this.#socket.send(JSON.stringify({ op: 'unsubscribe', id: this.#nextId(), ...spec }));
      },
    };
  }

  /** The book of a market, kept up to date. @throws as `subscribe` */
  async book(market: string, { onBook, ...others }: BookHandlers): Promise<Subscription> {
    let book: LocalBook | undefined;
    const spec = { channel: 'book', market } as const;
    return await this.subscribe(spec, {
      ...others,
      onSnapshot: (snapshot) => {
        book = new LocalBook(snapshot, tradingLimits.bookLevels);
        onBook(book);
      },
      onMessage: (message) => {
        if (book === undefined) return;
        book.apply(message);
        onBook(book);
        const channel = this.#channels.get(keyOf(spec));
        if (!book.isThin || channel === undefined) return;
        this.#ask(channel, 'anew');
        channel.tellResync('asked');
      },
    });
  }

  /** @throws the API's own error, API_CLIENT_NOT_SENT, API_CLIENT_NO_ANSWER; so all below */
  async place(order: NewOrder): Promise<OrderOutcome> {
    return (await this.#request({ op: 'place', order })) as OrderOutcome;
  }
  /** One answer for each, in their order; each stands for itself. */
  async placeAll(orders: readonly NewOrder[]): Promise<readonly (OrderOutcome | StrongroomError)[]> {
    return outcomesOf((await this.#request({ op: 'place-batch', orders }, orders.length)) as BatchAnswer);
  }
  async amend(
    name: OrderName,
    change: { readonly price?: string; readonly size?: string },
  ): Promise<OrderOutcome> {
    return (await this.#request({ op: 'amend', ...name, ...change })) as OrderOutcome;
  }
  async cancel(name: OrderName): Promise<OrderOutcome> {
    return (await this.#request({ op: 'cancel', ...name })) as OrderOutcome;
  }
  /** As `placeAll`. */
  async cancelEach(orders: readonly OrderName[]): Promise<readonly (OrderOutcome | StrongroomError)[]> {
    return outcomesOf((await this.#request({ op: 'cancel-batch', orders }, orders.length)) as BatchAnswer);
  }
  async cancelAll(options: {
    readonly accountId: NewOrder['accountId'];
    readonly market?: string;
  }): Promise<{ readonly cancelled: number }> {
    return (await this.#request({ op: 'cancel-all', ...options })) as { readonly cancelled: number };
  }
  async ping(): Promise<void> {
    await this.#request({ op: 'ping' });
  }

  /** The connection is lost, as if the network were; it comes back. For drills and tests. */
  cut(): void {
    this.#socket.cut();
  }

  async close(): Promise<void> {
    this.#lost(fail('API_CLIENT_CLOSED', 'the stream was closed by its owner'), true);
    await this.#socket.close();
  }

  #nextId(): string {
    this.#ids++;
    return this.#ids.toString();
  }

  #ask(channel: HeardChannel, how: 'resume' | 'anew'): void {
    this.#socket.send(JSON.stringify(channel.ask(this.#nextId(), how)));
  }

  /** @param orders how many it is of */
  async #request(message: object, orders = 1): Promise<unknown> {
    if (this.#final !== undefined) throw this.#final;
    if (this.#orders + orders > inFlightMax)
      throw fail(
        'API_CLIENT_NOT_SENT',
        `${this.#orders} orders have no answer yet, at most ${inFlightMax} may`,
      );
    const id = this.#nextId();
    return await new Promise((resolve, reject) => {
      if (!this.#socket.send(JSON.stringify({ id, ...message }))) {
        reject(fail('API_CLIENT_NOT_SENT', 'the stream is not connected'));
        return;
      }
      const timer = setTimeout(() => {
        this.#answered(id);
        reject(fail('API_CLIENT_NO_ANSWER', `no answer within ${requestMs} ms`));
      }, requestMs);
      this.#requests.set(id, { resolve, reject, timer, orders });
      this.#orders += orders;
    });
  }

  #answered(id: string): Pending | undefined {
    const pending = this.#requests.get(id);
    if (pending === undefined) return undefined;
    this.#requests.delete(id);
    this.#orders -= pending.orders;
    clearTimeout(pending.timer);
    return pending;
  }

  #take(message: ServerMessage | FeedMessage): void {
    if (!('type' in message)) {
      this.#feed(message);
      return;
    }
    switch (message.type) {
      case 'answer':
        this.#answered(message.id)?.resolve(message.ok);
        return;
      case 'pong':
        this.#answered(message.id)?.resolve(undefined);
        return;
      case 'problem':
        this.#refused(message.id, errorOfProblem(message.problem));
        return;
      case 'unsubscribed':
        return;
      case 'status': {
        const { type: _type, ...status } = message;
        this.#engine = status;
        this.#options.onEngine?.(status);
        return;
      }
      case 'subscribed':
      case 'snapshot':
      case 'resync':
      case 'ended':
        this.#ofChannel(message);
    }
  }

  #ofChannel(
    message: Extract<ServerMessage, { type: 'subscribed' | 'snapshot' | 'resync' | 'ended' }>,
  ): void {
    const channel = this.#channels.get(keyOf(message as ChannelSpec));
    if (channel === undefined) return;
    if (message.type === 'subscribed') {
      channel.subscribed(message);
      if (!channel.isAskedAs(message.id)) return;
      this.#openings.get(channel)?.resolve();
      this.#openings.delete(channel);
    } else if (message.type === 'snapshot') channel.snapshot(message.snapshot as never);
    else if (message.type === 'resync') channel.resync(message.seq);
    else this.#channelRefused(channel, errorOfProblem(message.problem));
  }

  #feed(message: FeedMessage): void {
    const channel = this.#channels.get(keyOf(message as ChannelSpec));
    if (channel === undefined || channel.message(message)) return;
    this.#ask(channel, 'anew');
    channel.tellResync('gap');
  }

  #refused(id: string | null, error: StrongroomError): void {
    if (id === null) return;
    const pending = this.#answered(id);
    if (pending !== undefined) {
      pending.reject(error);
      return;
    }
    for (const channel of this.#channels.values())
      if (channel.isAskedAs(id)) {
        this.#channelRefused(channel, error);
        return;
      }
  }

  /** What may be had later is asked for again; the rest is told to whoever wanted it. */
  #channelRefused(channel: HeardChannel, error: StrongroomError): void {
    const opening = this.#openings.get(channel);
    if (error.retryable && opening === undefined) {
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        if (this.#channels.get(keyOf(channel.spec)) === channel) this.#ask(channel, 'resume');
      }, askAgainMs);
      this.#timers.add(timer);
      return;
    }
    this.#channels.delete(keyOf(channel.spec));
    this.#openings.delete(channel);
    if (opening !== undefined) opening.reject(error);
    else channel.ended(error);
  }

  #lost(why: StrongroomError, isFinal: boolean): void {
    this.#engine = undefined;
    for (const [id, { reject }] of this.#requests) {
      this.#answered(id);
      reject(
        isStrongroomError(why) && why.code === 'API_CLIENT_NO_ANSWER'
          ? why
          : fail('API_CLIENT_NO_ANSWER', why.message, {}, why),
      );
    }
    if (isFinal && this.#final === undefined) this.#end(why);
    this.#options.onLost?.(why, isFinal);
  }

  #end(why: StrongroomError): void {
    this.#final = fail('API_CLIENT_CLOSED', why.message, {}, why);
    for (const timer of this.#timers) clearTimeout(timer);
    for (const channel of this.#channels.values()) {
      const opening = this.#openings.get(channel);
      if (opening !== undefined) opening.reject(why);
      else if (why.code !== 'API_CLIENT_CLOSED') channel.ended(why);
    }
    this.#openings.clear();
    this.#channels.clear();
  }
}
