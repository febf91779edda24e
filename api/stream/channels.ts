/**
 * Channels that somebody hears: one subscription to the feed and one encoding of each message for all. Who joins gets the missed
 * messages or a snapshot first, and then every message after it, in order, none twice.
 */
import { errorsOf } from '#core/errors';
import { type ChannelKey, type TradingOperations, tradingLimits } from '#matching/trading/contract';
import { keyOf } from './channel-key.ts';
import type { Asked } from './connection.ts';
import { streamErrors } from './errors.ts';
import { type Frame, frameOf } from './frames.ts';
import type { StreamLimits } from './limits.ts';
import type { ChannelSpec } from './messages.ts';

const fail = errorsOf(streamErrors);

/** Who hears a channel. */
export interface Listener {
  /** @param asked what it asked for, however large, says nothing about its pace */
  readonly send: (frame: Frame, asked?: Asked) => void;
  /** Before something is made for it alone. @throws API_STREAM_LIMIT when it has not taken what it asked for before */
  readonly assertRoom: () => void;
  /** The channel can give nothing more; the listener has left it. */
  readonly ended: (error: unknown) => void;
}
export interface Joined {
  readonly leave: () => void;
}
interface Held {
  readonly seq: number;
  readonly frame: Frame;
}
interface Member {
  readonly listener: Listener;
  /** Messages up to here are in its snapshot. */
  fromSeq: number;
  /** While it waits for a snapshot; undefined once it has one. */
  held: Held[] | undefined;
  /** Grows with each snapshot asked for: an answer to an older question is not used. */
  turn: number;
  /** Says what a snapshot is for; `subscribed` at first, `resync` from then on. */
  opening: (resumeSeq: number) => Frame;
}
/** `resumeSeq` is of a message, at or below `seq`, so that the feed can go on from it. */
interface Beginning {
  readonly seq: number;
  readonly resumeSeq: number;
  readonly frame: Frame | undefined;
}

/** What of trading the stream stands on. */
export type StreamTrading = Pick<
  TradingOperations,
  | 'engineStatus'
  | 'onEngineStatus'
  | 'market'
  | 'book'
  | 'ticker'
  | 'account'
  | 'feed'
  | 'place'
  | 'placeAll'
  | 'amend'
  | 'cancel'
  | 'cancelEach'
  | 'cancelAll'
>;
export interface ChannelOptions {
  readonly trading: StreamTrading;
  readonly limits: StreamLimits;
}

class Channel {
  readonly members = new Set<Member>();
  readonly #spec: ChannelSpec;
  readonly #key: ChannelKey;
  readonly #options: ChannelOptions;
  #feed: { readonly end: () => void } | undefined;
  /** Good until the next message. */
  #beginning: Beginning | undefined;

  constructor(spec: ChannelSpec, options: ChannelOptions) {
    this.#spec = spec;
    this.#key = keyOf(spec);
    this.#options = options;
    this.#hear();
  }

  end(): void {
    this.#feed?.end();
    this.#feed = undefined;
  }

  /** @returns the messages after `after`; undefined when they are too long ago or too many */
  missed(after: number): { readonly frames: readonly Frame[]; readonly seq: number } | undefined {
    const { replayBytesMax } = this.#options.limits;
    const frames: Frame[] = [];
    let bytes = 0;
    let seq = after;
    const onText = (at: number, text: string): void => {
      seq = at;
      bytes += text.length;
      // Whoever asks for too much costs no more than one who asks for as much as there may be.
      if (bytes > replayBytesMax) throw new RangeError('more than is sent at once');
      frames.push(Buffer.from(text));
    };
    const ask = this.#options.trading.feed.subscribe(
      this.#key,
      { onText, onMessage: () => undefined, onReset: () => undefined },
      after,
    );
    if (ask === false) return undefined;
    // Those it missed came at once; later ones come to all members.
    ask.end();
    return bytes > replayBytesMax ? undefined : { frames, seq };
  }

  /** Sends the opening, a snapshot if the channel has one, and what came meanwhile. Only accounts make it wait. */
  async begin(member: Member): Promise<void> {
    member.turn++;
    const { turn } = member;
    const held: Held[] = [];
    member.held = held;
    const isCurrent = (): boolean => this.members.has(member) && member.turn === turn;
    const { listener } = member;
    let beginning: Beginning;
    const isOwn = this.#spec.channel === 'account';
    try {
      if (isOwn) listener.assertRoom();
      const asked = this.#begin();
      beginning = asked instanceof Promise ? await asked : asked;
      // Others it asked for may have been made meanwhile.
      if (isOwn) listener.assertRoom();
    } catch (error) {
      if (isCurrent()) throw error;
      return;
    }
    if (!isCurrent()) return;
    listener.send(member.opening(beginning.resumeSeq), 'shared');
    if (beginning.frame !== undefined) listener.send(beginning.frame, isOwn ? 'own' : 'shared');
    this.goOn(member, beginning.seq);
    // All at once because the snapshot took its time, not because the listener did.
    for (const { seq, frame } of held) if (seq > beginning.seq) listener.send(frame, 'shared');
  }

  /** Every message after `seq` from now on. */
  goOn(member: Member, seq: number): void {
    member.fromSeq = seq;
    member.held = undefined;
    member.opening = this.#resync;
  }

  readonly #resync = (seq: number): Frame => frameOf({ type: 'resync', ...this.#spec, seq });

  #hear(): void {
    const feed = this.#options.trading.feed.subscribe(this.#key, {
      onMessage: (message, text) => {
        this.#broadcast(message.seq, Buffer.from(text));
      },
      onReset: () => {
        this.#beginning = undefined;
        for (const member of this.members) {
          member.turn++;
          member.held = [];
        }
        // The feed may still be taking its listeners down.
        queueMicrotask(() => {
          this.#beginAnew();
        });
      },
    });
    if (feed === false) throw fail('API_STREAM_CHANNEL_ENDED', `${this.#key}: the feed does not take it`);
    this.#feed = feed;
  }

  #broadcast(seq: number, frame: Frame): void {
    this.#beginning = undefined;
    for (const member of this.members) {
      if (member.held !== undefined) this.#hold(member, { seq, frame });
      else if (seq > member.fromSeq) member.listener.send(frame);
    }
  }

  #hold(member: Member, message: Held): void {
    member.held?.push(message);
    if ((member.held?.length ?? 0) <= this.#options.limits.heldMessagesMax) return;
    this.#drop(
      member,
      fail(
        'API_STREAM_CHANNEL_ENDED',
        `${this.#key}: the snapshot took longer than its messages can be kept`,
      ),
    );
  }

  #drop(member: Member, error: unknown): void {
    this.members.delete(member);
    member.listener.ended(error);
  }

  #beginAnew(): void {
    if (this.#feed === undefined) return;
    try {
      this.#feed.end();
      this.#hear();
    } catch (error) {
      for (const member of this.members) this.#drop(member, error);
      return;
    }
    for (const member of this.members) {
      this.begin(member).catch((error: unknown) => {
        this.#drop(member, error);
      });
    }
  }

  #begin(): Beginning | Promise<Beginning> {
    const { trading } = this.#options;
    const spec = this.#spec;
    // Read before the snapshot is made, so never above it.
    const resumeSeq = trading.feed.newestSeq(this.#key);
    if (spec.channel === 'account')
      return trading.account(spec.accountId).then((snapshot) => ({
        seq: snapshot.seq,
        resumeSeq,
        frame: frameOf({ type: 'snapshot', ...spec, snapshot }),
      }));
    this.#beginning ??= this.#beginMarket(spec, resumeSeq);
    return this.#beginning;
  }

  #beginMarket(spec: Exclude<ChannelSpec, { channel: 'account' }>, resumeSeq: number): Beginning {
    const { trading } = this.#options;
    if (spec.channel === 'book') {
      const snapshot = trading.book(spec.market, tradingLimits.bookLevels);
      return {
        seq: snapshot.seq,
        resumeSeq,
        frame: frameOf({ type: 'snapshot', channel: 'book', market: spec.market, snapshot }),
      };
    }
    if (spec.channel === 'ticker') {
      const snapshot = trading.ticker(spec.market);
      return {
        seq: snapshot.seq,
        resumeSeq,
        frame: frameOf({ type: 'snapshot', channel: 'ticker', market: spec.market, snapshot }),
      };
    }
    return { seq: resumeSeq, resumeSeq, frame: undefined };
  }
}

export class Channels {
  readonly #open = new Map<ChannelKey, Channel>();
  readonly #options: ChannelOptions;

  constructor(options: ChannelOptions) {
    this.#options = options;
  }

  /**
   * Sends `subscribed` and what follows from it.
   * @param joined is told before anything is sent, so that the listener can leave at any time
   * @throws TRADING_MARKET_UNKNOWN, TRADING_UNAVAILABLE, API_STREAM_CHANNEL_ENDED, API_STREAM_LIMIT, API_STREAM_SUPERSEDED; the
   * listener has not joined then
   */
  async join(
    spec: ChannelSpec,
    listener: Listener,
    ask: {
      readonly id: string;
      readonly after: number | undefined;
      readonly joined: (joined: Joined) => void;
    },
  ): Promise<void> {
    if (spec.channel !== 'account') this.#options.trading.market(spec.market);
    const key = keyOf(spec);
    const channel = this.#channel(key, spec);
    const member: Member = {
      listener,
      fromSeq: -1,
      held: [],
      turn: 0,
      opening: (seq) =>
        frameOf({ type: 'subscribed', id: ask.id, ...spec, seq, resync: ask.after !== undefined }),
    };
    channel.members.add(member);
    const leave = (): void => {
      channel.members.delete(member);
      this.#close(key, channel);
    };
    ask.joined({ leave });
    try {
      if (ask.after === undefined || !this.#resume(channel, member, spec, { id: ask.id, after: ask.after }))
        await channel.begin(member);
      if (!channel.members.has(member))
        throw fail('API_STREAM_SUPERSEDED', `${key}: it was left before it had begun`);
    } catch (error) {
      leave();
      throw error;
    }
  }

  #resume(
    channel: Channel,
    member: Member,
    spec: ChannelSpec,
    { id, after }: { readonly id: string; readonly after: number },
  ): boolean {
    const missed = channel.missed(after);
    if (missed === undefined) return false;
    member.listener.send(frameOf({ type: 'subscribed', id, ...spec, seq: after, resync: false }), 'shared');
    for (const frame of missed.frames) member.listener.send(frame, 'own');
    channel.goOn(member, missed.seq);
    return true;
  }

  end(): void {
    for (const channel of this.#open.values()) channel.end();
    this.#open.clear();
  }

  #channel(key: ChannelKey, spec: ChannelSpec): Channel {
    const found = this.#open.get(key);
    if (found !== undefined) return found;
    const channel = new Channel(spec, this.#options);
    this.#open.set(key, channel);
    return channel;
  }

  #close(key: ChannelKey, channel: Channel): void {
    if (channel.members.size > 0 || this.#open.get(key) !== channel) return;
    channel.end();
    this.#open.delete(key);
  }
}
