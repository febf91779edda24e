/**
 * A channel as its listener has it: up to which message, and whether the next one follows. What is missing is never passed over:
 * the channel is then asked for anew.
 */
import type { StrongroomError } from '#core/errors';
import type {
  AccountSnapshot,
  BookView,
  CandleInterval,
  FeedMessage,
  TickerView,
} from '#matching/trading/contract';
import type { ChannelSpec } from '../stream/messages.ts';

export type { ChannelSpec };
export type ChannelName = FeedMessage['channel'];
export type MessageOf<C extends ChannelName> = Extract<FeedMessage, { readonly channel: C }>;
export interface SnapshotOf {
  readonly book: BookView;
  readonly ticker: TickerView;
  readonly account: AccountSnapshot;
  readonly trades: never;
  readonly candles: never;
}
export type SpecOf<C extends ChannelName> = C extends 'candles'
  ? { readonly channel: 'candles'; readonly market: string; readonly interval: CandleInterval }
  : C extends 'account'
    ? { readonly channel: 'account'; readonly accountId: AccountSnapshot['accountId'] }
    : { readonly channel: C; readonly market: string };

/** `too-far`: gone for longer than the server remembers; `reset`: the server began anew; `gap`: a message was missing. */
export type ResyncReason = 'too-far' | 'reset' | 'gap' | 'asked';
export interface ChannelHandlers<C extends ChannelName> {
  /** All of it: what was known before is void. Of book, ticker and account; at first, and after each `onResync`. */
  readonly onSnapshot?: (snapshot: SnapshotOf[C]) => void;
  /** In order, none missing, none twice. */
  readonly onMessage?: (message: MessageOf<C>) => void;
  /** Messages were missed. Trades and candles have no snapshot: read a page of them over REST. */
  readonly onResync?: (reason: ResyncReason) => void;
  /** Nothing more comes of this subscription. */
  readonly onEnded?: (error: StrongroomError) => void;
}

const hasSnapshot = (channel: ChannelName): channel is 'book' | 'ticker' | 'account' =>
  channel === 'book' || channel === 'ticker' || channel === 'account';

/** Handlers of any channel: the spec says which one they are of. */
type AnyHandlers = ChannelHandlers<ChannelName>;

export class HeardChannel {
  readonly spec: ChannelSpec;
  readonly #handlers: AnyHandlers;
  /** `waiting`: for `subscribed`; `opening`: for the snapshot. */
  #state: 'waiting' | 'opening' | 'heard' = 'waiting';
  /** Of the newest message or snapshot. */
  #seq = -1;
  /** What the server can go on from; none while the snapshot is missing, which it would not send then. */
  #resumeSeq: number | undefined;
  /** Where the channel was when it was opened, at or below its snapshot. */
  #openedSeq = 0;
  /** A message came since the channel was last asked for, so the next has its number as `prevSeq`. */
  #isChained = false;
  #asked: { readonly id: string; readonly after: number | undefined } | undefined;

  constructor(spec: ChannelSpec, handlers: AnyHandlers) {
    this.spec = spec;
    this.#handlers = handlers;
  }

  /** The message that asks for the channel. @param how `anew`: with a snapshot, whatever is known */
  ask(id: string, how: 'resume' | 'anew'): object {
    if (how === 'anew') this.#resumeSeq = undefined;
    const after = this.#resumeSeq;
    this.#asked = { id, after };
    this.#state = 'waiting';
    return { op: 'subscribe', id, ...this.spec, ...(after === undefined ? {} : { after }) };
  }

  isAskedAs(id: string): boolean {
    return this.#asked?.id === id;
  }

  subscribed({
    id,
    seq,
    resync,
  }: {
    readonly id: string;
    readonly seq: number;
    readonly resync: boolean;
  }): void {
    // An answer to an older question: the newer one is answered too.
    if (this.#asked?.id !== id) return;
    this.#isChained = false;
    if (this.#asked.after !== undefined && !resync) {
      this.#state = 'heard';
      return;
    }
    this.#begin(seq);
    if (resync) this.#handlers.onResync?.('too-far');
  }

  resync(seq: number): void {
    if (this.#state === 'waiting') return;
    this.#begin(seq);
    this.#handlers.onResync?.('reset');
  }

  snapshot(snapshot: SnapshotOf['book' | 'ticker' | 'account']): void {
    if (this.#state !== 'opening') return;
    this.#state = 'heard';
    this.#seq = snapshot.seq;
    this.#resumeSeq = this.#openedSeq;
    this.#handlers.onSnapshot?.(snapshot as never);
  }

  /** @returns false when a message is missing before it; it was not taken then */
  message(message: FeedMessage): boolean {
    if (this.#state !== 'heard') return true;
    if (message.seq <= this.#seq) return true;
    if (this.#isChained ? message.prevSeq !== this.#seq : message.prevSeq > this.#seq) return false;
    this.#isChained = true;
    this.#seq = message.seq;
    this.#resumeSeq = message.seq;
    this.#handlers.onMessage?.(message);
    return true;
  }

  tellResync(reason: ResyncReason): void {
    this.#handlers.onResync?.(reason);
  }
  ended(error: StrongroomError): void {
    this.#handlers.onEnded?.(error);
  }

  #begin(seq: number): void {
    this.#openedSeq = seq;
    this.#isChained = false;
    const isOpening = hasSnapshot(this.spec.channel);
    this.#state = isOpening ? 'opening' : 'heard';
    this.#resumeSeq = isOpening ? undefined : seq;
    this.#seq = seq;
  }
}
