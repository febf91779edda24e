/**
 * Channels of accounts: there while somebody listens, and some time after. The engine knows accounts by number. One that it does
 * not know yet has nothing that could change; once it is opened it is followed from its first event on, whosever it is, until
 * its name is read.
 */
import type { Id } from '#core/ids';
import type { EngineConfig } from '../../config.ts';
import { type EventSlots, eventInt32, readEvent } from '../../events.ts';
import type { EngineView } from '../../link/types.ts';
import { eventKinds } from '../../vocabulary.ts';
import type { TradingAccounts } from '../accounts.ts';
import type { AccountSnapshot, FeedListener } from '../contract.ts';
import type { Scales } from '../scale.ts';
import { AccountWatch, accountSnapshot } from './account-watch.ts';
import { Channel } from './channel.ts';
import { accountRing, keptAccountsMax, keptMs, unnamedAccountsMax, unnamedChangesMax } from './limits.ts';

const opened = eventKinds.indexOf('account-opened');
/** About as many bytes as the JSON of a message, and of a change, has. */
const messageBytes = 200;
const changeBytes = 350;

interface Followed {
  readonly id: Id<'acc'>;
  readonly channel: Channel;
  /** `asking`: its number is being read; `unknown`: it has none yet. */
  state: 'asking' | 'unknown' | 'known';
  watch: AccountWatch | undefined;
}
export interface AccountChannelsOptions {
  readonly config: EngineConfig;
  readonly scales: Scales;
  readonly accounts: TradingAccounts;
  readonly view: () => EngineView;
}

export class AccountChannels {
  readonly #options: AccountChannelsOptions;
  readonly #followed = new Map<Id<'acc'>, Followed>();
  readonly #byNumber = new Map<number, Followed>();
  /** Those whose number is not known. */
  readonly #waiting = new Set<Followed>();
  /** Those the portion has said something of. */
  #due = new Set<Followed>();
  /** Opened while somebody waits for an account; what they do is held until their name is known. */
  readonly #unnamed = new Map<number, AccountWatch>();

  constructor(options: AccountChannelsOptions) {
    this.#options = options;
  }

  subscribe(
    id: Id<'acc'>,
    listener: FeedListener,
    after: number | undefined,
  ): { readonly end: () => void } | false {
    const { seq } = this.#options.view();
    const found = this.#followed.get(id);
    // Nobody looked since then, or it is not known yet from where on.
    if (after !== undefined && (found === undefined || found.state === 'asking')) return false;
    return (found ?? this.#follow(id, seq)).channel.subscribe(listener, after, seq);
  }

  newestSeq(id: Id<'acc'>): number {
    return this.#followed.get(id)?.channel.newest ?? this.#options.view().seq;
  }

  async snapshot(id: Id<'acc'>): Promise<AccountSnapshot> {
    const { accounts, config, scales, view } = this.#options;
    const read = await accounts.numberOf(id);
    const followed = this.#followed.get(id);
    if (followed !== undefined && followed.state !== 'known' && read !== undefined)
      this.#know(followed, read);
    const number = followed?.watch?.number ?? read;
    return accountSnapshot(view(), number, id, scales, config.limits.openOrders);
  }

  /** One event; the view is not to be asked before all of the portion were seen. */
  see(events: EventSlots, at: number, kind: number): void {
    if (this.#followed.size === 0) return;
    const account = events.int32[at * 24 + eventInt32.account] as number;
    if (kind === opened) {
      this.#opened(account);
      return;
    }
    const maker = events.int32[at * 24 + eventInt32.makerAccount] as number;
    const watch = this.#watchOf(account);
    const makerWatch = maker < 0 || maker === account ? undefined : this.#watchOf(maker);
    if (watch === undefined && makerWatch === undefined) return;
    const event = readEvent(events, at);
    watch?.see(event);
    makerWatch?.see(event);
  }
  /** Of who is to be shown the event. */
  #watchOf(number: number): AccountWatch | undefined {
    const followed = this.#byNumber.get(number);
    if (followed === undefined) return this.#unnamed.get(number);
    this.#due.add(followed);
    return followed.watch;
  }

  /** After the last event of a portion. */
  tell(view: EngineView): void {
    const due = this.#due;
    this.#due = new Set();
    for (const followed of due) this.#tell(followed, view);
    for (const [number, watch] of this.#unnamed)
      if (watch.changeCount > unnamedChangesMax) this.#breakOffUnnamed(number);
  }

  /** Lets go of channels that nobody listens to. */
  sweep(nowMs: number): void {
    let idle = 0;
    for (const { channel } of this.#followed.values()) {
      if (channel.isHeard) channel.keptUntilMs = 0;
      else {
        idle++;
        if (channel.keptUntilMs === 0) channel.keptUntilMs = nowMs + keptMs;
      }
    }
    for (const followed of this.#followed.values()) {
      const { channel } = followed;
      if (channel.isHeard || (channel.keptUntilMs > nowMs && idle <= keptAccountsMax)) continue;
      idle--;
      this.#forget(followed);
    }
  }

  /** @returns tells the listeners */
  reset(base: number): readonly (() => void)[] {
    const told = [...this.#followed.values()].map(({ channel }) => channel.reset(base));
    this.#followed.clear();
    this.#byNumber.clear();
    this.#unnamed.clear();
    this.#waiting.clear();
    this.#due.clear();
    return told;
  }

  #follow(id: Id<'acc'>, base: number): Followed {
    const followed: Followed = {
      id,
      channel: new Channel(accountRing, base),
      state: 'asking',
      watch: undefined,
    };
    this.#followed.set(id, followed);
    this.#waiting.add(followed);
    this.#ask(followed).catch(() => {
      this.#breakOff(followed);
    });
    return followed;
  }

  async #ask(followed: Followed): Promise<void> {
    const { accounts } = this.#options;
    // An answer that was on its way already may be older than we are; a second one is not.
    const number = (await accounts.numberOf(followed.id)) ?? (await accounts.numberOf(followed.id));
    if (this.#followed.get(followed.id) !== followed || followed.state !== 'asking') return;
    if (number === undefined) followed.state = 'unknown';
    else this.#know(followed, number);
  }

  #know(followed: Followed, number: number): void {
    const { config, view } = this.#options;
    const { channel } = followed;
    const now = view();
    const held = this.#unnamed.get(number);
    this.#unnamed.delete(number);
    this.#waiting.delete(followed);
    followed.state = 'known';
    this.#byNumber.set(number, followed);
    if (held !== undefined && now.seq > channel.base) {
      followed.watch = held;
      this.#tell(followed, now);
      return;
    }
    followed.watch = new AccountWatch(number, config);
    followed.watch.begin(now);
    channel.rebase(now.seq);
  }

  #tell({ id, channel, watch }: Followed, view: EngineView): void {
    if (watch === undefined || !watch.isChanged) return;
    const changes = watch.take(view, id, this.#options.scales);
    if (changes.length === 0) return;
    const { seq, timeMs } = view;
    channel.append(seq, messageBytes + changes.length * changeBytes, (prevSeq) => ({
      channel: 'account',
      accountId: id,
      seq,
      prevSeq,
      timeMs,
      changes,
    }));
  }

  #opened(number: number): void {
    if (this.#waiting.size === 0 || this.#byNumber.has(number)) return;
    this.#unnamed.set(number, new AccountWatch(number, this.#options.config));
    if (this.#unnamed.size > unnamedAccountsMax) {
      this.#breakOffUnnamed(number);
      return;
    }
    this.#name(number).catch(() => {
      this.#breakOffUnnamed(number);
    });
  }

  async #name(number: number): Promise<void> {
    const { accounts } = this.#options;
    const watch = this.#unnamed.get(number);
    await accounts.load([number]);
    if (this.#unnamed.get(number) !== watch) return;
    const followed = this.#followed.get(accounts.nameOf(number));
    if (followed === undefined || followed.state === 'known') this.#unnamed.delete(number);
    else this.#know(followed, number);
  }

  /** Whose it is cannot be said in time: all who wait for an account begin anew, and find it. */
  #breakOffUnnamed(number: number): void {
    this.#unnamed.delete(number);
    for (const followed of [...this.#waiting]) this.#breakOff(followed);
  }
  #breakOff(followed: Followed): void {
    if (this.#followed.get(followed.id) !== followed) return;
    this.#forget(followed);
    followed.channel.reset(followed.channel.base)();
  }
  #forget(followed: Followed): void {
    this.#followed.delete(followed.id);
    this.#waiting.delete(followed);
    this.#due.delete(followed);
    if (followed.watch !== undefined) this.#byNumber.delete(followed.watch.number);
  }
}
