/** One channel: its chain of messages, the newest of them to resume from, and who listens. */
import type { FeedListener, FeedMessage } from '../contract.ts';
import type { RingLimits } from './limits.ts';

/** Makes the message when somebody first wants it. @param prevSeq of the message before */
export type MakeMessage = (prevSeq: number) => FeedMessage;

/** A message, made and written as JSON when somebody first wants it; only the JSON is kept then, which is the smaller of both. */
class Entry {
  readonly seq: number;
  readonly prevSeq: number;
  readonly bytes: number;
  #make: MakeMessage | undefined;
  #text = '';

  constructor(seq: number, prevSeq: number, bytes: number, make: MakeMessage) {
    this.seq = seq;
    this.prevSeq = prevSeq;
    this.bytes = bytes;
    this.#make = make;
  }

  get text(): string {
    if (this.#make !== undefined) void this.read();
    return this.#text;
  }

  read(): { readonly message: FeedMessage; readonly text: string } {
    if (this.#make === undefined) return { message: JSON.parse(this.#text) as FeedMessage, text: this.#text };
    const message = this.#make(this.prevSeq);
    this.#text = JSON.stringify(message);
    this.#make = undefined;
    return { message, text: this.#text };
  }
}

interface Subscription {
  readonly listener: FeedListener;
  isEnded: boolean;
}

export class Channel {
  readonly #limits: RingLimits;
  /** The first `#from` of them are dropped. */
  #entries: Entry[] = [];
  #from = 0;
  #bytes = 0;
  /** The channel knows all that happened after this command. */
  #base: number;
  /** Replaced, never changed: messages go through the one they began with. */
  #subscriptions: readonly Subscription[] = [];
  /** Until when it is kept without listeners; 0 while it has some. Set by who keeps it. */
  keptUntilMs = 0;

  constructor(limits: RingLimits, base: number) {
    this.#limits = limits;
    this.#base = base;
  }

  /** What happened up to this command is known to whoever begins now. @param base nothing was told before it */
  rebase(base: number): void {
    this.#base = base;
  }
  get base(): number {
    return this.#base;
  }
  get isHeard(): boolean {
    return this.#subscriptions.length > 0;
  }
  /** `seq` of the newest message. */
  get newest(): number | undefined {
    return this.#entries.at(-1)?.seq;
  }

  /** @param bytes about as many as its JSON has */
  append(seq: number, bytes: number, make: MakeMessage): void {
    const entry = new Entry(seq, this.newest ?? this.#base, bytes, make);
    this.#entries.push(entry);
    this.#bytes += bytes;
    this.#dropOldest();
    if (this.isHeard) this.#tell(this.#subscriptions, entry);
  }

  /**
   * @param after undefined: from now on
   * @param viewSeq of the view: nothing happened after it
   * @returns false when what followed `after` is not known
   */
  subscribe(
    listener: FeedListener,
    after: number | undefined,
    viewSeq: number,
  ): { readonly end: () => void } | false {
    if (after !== undefined && !(after >= this.#base && after <= viewSeq)) return false;
    const subscription: Subscription = { listener, isEnded: false };
    this.#subscriptions = [...this.#subscriptions, subscription];
    if (after !== undefined)
      for (const entry of this.#entries.slice(this.#firstAfter(after))) {
        if (subscription.isEnded) break;
        this.#tell([subscription], entry);
      }
    return {
      end: () => {
        this.#end(subscription);
      },
    };
  }

  /**
   * All listeners are ended; nothing before `base` can be resumed.
   * @returns tells them, once every channel is as it is to be: they may come back at once
   */
  reset(base: number): () => void {
    const ended = this.#subscriptions.filter(({ isEnded }) => !isEnded);
    this.#subscriptions = [];
    this.#entries = [];
    this.#from = 0;
    this.#bytes = 0;
    this.#base = base;
    for (const subscription of ended) subscription.isEnded = true;
    return () => {
      for (const { listener } of ended) {
        try {
          listener.onReset();
        } catch {
          // It has ended; the others are to hear of it too.
        }
      }
    };
  }

  #tell(subscriptions: readonly Subscription[], entry: Entry): void {
    // Outside of the try: a message that cannot be made is our defect, not the listener's.
    const isRead = subscriptions.some(({ listener }) => listener.onText === undefined);
    const { message, text } = isRead ? entry.read() : { message: undefined, text: entry.text };
    for (const subscription of subscriptions) {
      if (subscription.isEnded) continue;
      const { listener } = subscription;
      try {
        if (listener.onText !== undefined) listener.onText(entry.seq, text);
        else if (message !== undefined) listener.onMessage(message, text);
      } catch {
        this.#end(subscription);
      }
    }
  }

  #end(subscription: Subscription): void {
    subscription.isEnded = true;
    this.#subscriptions = this.#subscriptions.filter((each) => each !== subscription);
  }

  /** Position of the first message after `after`. */
  #firstAfter(after: number): number {
    let low = this.#from;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#entries[middle] as Entry).seq <= after) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The newest message is dropped too if it is larger than the ring. */
  #dropOldest(): void {
    const { messages, bytes } = this.#limits;
    while (this.#entries.length - this.#from > messages || this.#bytes > bytes) {
      const oldest = this.#entries[this.#from] as Entry;
      this.#bytes -= oldest.bytes;
      this.#base = oldest.seq;
      this.#from++;
    }
    // Moved together now and then, so that each costs the same.
    if (this.#from * 2 > messages || this.#from === this.#entries.length) {
      this.#entries = this.#entries.slice(this.#from);
      this.#from = 0;
    }
  }
}
