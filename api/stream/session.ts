/** What one caller asks for on one connection: channels and orders, each within its limits and permissions, each answered. */
import { errorsOf } from '#core/errors';
import type { ChannelKey } from '#matching/trading/contract';
import { apiErrors } from '../contract.ts';
import { requireAccount, requirePermission, type TradingAuth, type TradingCaller } from '../trading-auth.ts';
import { keyOf } from './channel-key.ts';
import type { Channels, Joined, StreamTrading } from './channels.ts';
import { type Asked, type Connection, Pace } from './connection.ts';
import { streamErrors } from './errors.ts';
import { frameOf, problemFrom } from './frames.ts';
import { closeCodes, type StreamLimits } from './limits.ts';
import type { ChannelSpec, ClientMessage, OrderRequest } from './messages.ts';
import { ordersIn, runOrder } from './orders.ts';
import { idOf, parseMessage } from './parse.ts';

const fail = errorsOf({ ...apiErrors, ...streamErrors });
const minuteMs = 60_000;
/** RFC 6455, 7.4.1. */
const unsupportedData = 1003;

export interface SessionOptions {
  readonly connection: Connection;
  readonly caller: TradingCaller;
  readonly trading: StreamTrading;
  readonly channels: Channels;
  readonly auth: Pick<TradingAuth, 'recheck'>;
  readonly limits: StreamLimits;
  /** Of the caller, on all its connections. */
  readonly messages: Pace;
  readonly elapsedMs: () => number;
  /** Of the connection; stands in every problem, and in the log. */
  readonly requestId: string;
  readonly onUnknown: (error: unknown) => void;
}

type Subscribe = Extract<ClientMessage, { op: 'subscribe' }>;

export class Session {
  readonly #options: SessionOptions;
  readonly #joined = new Map<ChannelKey, Joined>();
  readonly #invalid = new Pace(minuteMs);
  #inFlight = 0;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  get connection(): Connection {
    return this.#options.connection;
  }

  onMessage(data: Buffer, isBinary: boolean): void {
    const { connection, caller, limits, elapsedMs } = this.#options;
    if (connection.isClosing) return;
    if (isBinary) {
      connection.close(unsupportedData, 'text messages only');
      return;
    }
    const nowMs = elapsedMs();
    const count = this.#count(nowMs);
    const countMax = caller.requestsPerSecond;
    if (count === undefined) return;
    if (count > countMax) {
      this.#refuse(idOf(data), fail('API_RATE_LIMITED', `more than ${countMax} messages in a second`));
      return;
    }
    const parsed = parseMessage(data);
    if (parsed.message !== undefined) {
      this.#take(parsed.message);
      return;
    }
    this.#refuse(parsed.id, parsed.error);
    if (this.#invalid.count(nowMs) > limits.invalidPerMinute)
      connection.close(closeCodes.invalidMessages, 'too many invalid messages');
  }

  /** A frame that is no message costs as much as one. */
  onControl(): void {
    if (!this.#options.connection.isClosing) this.#count(this.#options.elapsedMs());
  }

  /** One more of the caller. @returns how many of this second; undefined: so many that the connection was closed */
  #count(nowMs: number): number | undefined {
    const { connection, caller, messages } = this.#options;
    const count = messages.count(nowMs);
    if (count <= 2 * caller.requestsPerSecond) return count;
    connection.close(closeCodes.tooManyMessages, 'too many messages');
    return undefined;
  }

  /** Leaves every channel. What is on its way to the engine is not stopped by it. */
  end(): void {
    for (const joined of this.#joined.values()) joined.leave();
    this.#joined.clear();
  }

  #take(message: ClientMessage): void {
    const { connection } = this.#options;
    if (message.op === 'ping') {
      connection.send(frameOf({ type: 'pong', id: message.id }));
      return;
    }
    if (message.op === 'unsubscribe') {
      const { op: _op, id, ...spec } = message;
      this.#leave(keyOf(spec));
      connection.send(frameOf({ type: 'unsubscribed', id, ...spec }));
      return;
    }
    const work = message.op === 'subscribe' ? this.#subscribe(message) : this.#order(message);
    work.catch((error: unknown) => {
      this.#refuse(message.id, error);
    });
  }

  async #subscribe(message: Subscribe): Promise<void> {
    const { op: _op, id, after, ...spec } = message;
    const { caller, limits } = this.#options;
    requirePermission(caller, 'read');
    if (spec.channel === 'account') requireAccount(caller, spec.accountId);
    const key = keyOf(spec);
    // Again for the same channel: anew from here.
    this.#leave(key);
    if (this.#joined.size >= limits.subscriptionsPerClient) throw this.#limit('subscriptionsPerClient');
    this.#assertRoom(spec.channel === 'account' || after !== undefined ? 'own' : 'shared');
    if (spec.channel !== 'account') {
      await this.#join(key, spec, { id, after });
      return;
    }
    await this.#counted(async () => {
      await this.#join(key, spec, { id, after });
    });
  }

  async #join(
    key: ChannelKey,
    spec: ChannelSpec,
    ask: { readonly id: string; readonly after: number | undefined },
  ): Promise<void> {
    const { connection, channels } = this.#options;
    let own: Joined | undefined;
    const forget = (): void => {
      own?.leave();
      if (this.#joined.get(key) === own) this.#joined.delete(key);
    };
    const listener = {
      send: connection.send.bind(connection),
      assertRoom: () => {
        this.#assertRoom('own');
      },
      ended: (error: unknown) => {
        forget();
        connection.send(frameOf({ type: 'ended', ...spec, problem: this.#problem(error) }));
      },
    };
    try {
      await channels.join(spec, listener, {
        ...ask,
        joined: (joined) => {
          own = joined;
          this.#joined.set(key, joined);
        },
      });
    } catch (error) {
      forget();
      throw error;
    }
  }

  async #order(request: OrderRequest): Promise<void> {
    const { connection, auth, caller, trading } = this.#options;
    requirePermission(caller, 'trade');
    await this.#counted(async () => {
      // A stream lasts; its key may have been revoked a moment ago.
      await auth.recheck(caller);
      const problemOf = (error: Error) => this.#problem(error);
      const ok = await runOrder(trading, { caller, request, problemOf });
      connection.send(frameOf({ type: 'answer', id: request.id, ok }));
    }, ordersIn(request));
  }

  /** @param count of orders, or accounts, that the work is */
  async #counted(work: () => Promise<void>, count = 1): Promise<void> {
    if (this.#inFlight + count > this.#options.limits.inFlightPerClient)
      throw this.#limit('inFlightPerClient');
    this.#inFlight += count;
    try {
      await work();
    } finally {
      this.#inFlight -= count;
    }
  }

  #leave(key: ChannelKey): void {
    this.#joined.get(key)?.leave();
    this.#joined.delete(key);
  }

  /** @param kind of what would be made; what all share does not count together @throws API_STREAM_LIMIT */
  #assertRoom(kind: Asked): void {
    const full = this.#options.connection.fullAt;
    if (full === 'askedBytesMax' || (full !== undefined && kind === 'own')) throw this.#limit(full);
  }

  #limit(name: 'subscriptionsPerClient' | 'inFlightPerClient' | 'askedBytesMax' | 'askedBytesInAll') {
    const max = this.#options.limits[name];
    return fail('API_STREAM_LIMIT', `more than ${max}: ${name}`, { limit: name, max });
  }

  #problem(error: unknown) {
    return problemFrom(error, this.#options.requestId, this.#options.onUnknown);
  }

  #refuse(id: string | null, error: unknown): void {
    this.#options.connection.send(frameOf({ type: 'problem', id, problem: this.#problem(error) }));
  }
}
