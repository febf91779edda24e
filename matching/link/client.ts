/** The api's end of the link: a view that is the engine's, and what was sent to it. */
import { errorsOf, messageOf } from '#core/errors';
import { type CommandBody, commandBytes, commandSlots, writeCommand } from '../commands.ts';
import type { EngineConfig } from '../config.ts';
import { matchingErrors } from '../errors.ts';
import type { EngineEvent, EventSlots } from '../events.ts';
import { configHashOf, type StateHash } from '../journal/index.ts';
import { semanticsVersion } from '../vocabulary.ts';
import { assertFits } from './command-ranges.ts';
import { type Connection, type ConnectionEnd, dial } from './dial.ts';
import { clientLimits, type LinkClientLimits } from './limits.ts';
import { ArrivingSnapshot, type Mirror } from './mirror.ts';
import { type Attempt, keepConnected } from './reconnect.ts';
import { Submissions } from './submissions.ts';
import { assertToken } from './token.ts';
import {
  type EngineLink,
  type EngineView,
  type LinkListener,
  type LinkState,
  linkBatchMax,
  type TakenBy,
} from './types.ts';
import {
  closeCode,
  decode,
  encodeClientHello,
  head,
  headBytes,
  type Meaning,
  type Message,
  messageKind,
  mismatchOf,
  protocolVersion,
  readRefused,
  readReset,
  readServerHello,
  readStatus,
  readTaken,
  type ServerHello,
} from './wire.ts';

const fail = errorsOf(matchingErrors);

export type LinkNotice =
  /** With the last command the view has; 0: it begins anew. */
  | { readonly kind: 'connected'; readonly url: string; readonly epoch: number; readonly afterSeq: number }
  | {
      readonly kind: 'disconnected';
      readonly url: string;
      readonly isRefused: boolean;
      readonly problem: string;
    }
  | { readonly kind: 'reset'; readonly seq: number }
  /** The view was not the engine's; another one is fetched. */
  | { readonly kind: 'diverged'; readonly seq: number; readonly problem: string }
  /** It was taken off the list. */
  | { readonly kind: 'listener-failed'; readonly seq: number; readonly problem: string };

export interface ConnectLinkOptions {
  /** `ws://host:port`; of several the next one is tried when one is away or refuses. */
  readonly url: string | readonly string[];
  /** As the engine's process has it. */
  readonly token: string;
  readonly config: EngineConfig;
  /**
   * Under which the engine is settled. One of another name is refused at its first message, before anything of it is taken, and
   * tried again: so the link recovers by itself once the right one is there. Without it the first engine's holds.
   */
  readonly engineName?: string;
  readonly onNotice?: (notice: LinkNotice) => void;
  readonly limits?: Partial<LinkClientLimits>;
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

function assertUrls(urls: readonly string[]): void {
  const wrong = urls.find((url) => {
    if (!URL.canParse(url)) return true;
    const { protocol, hash } = new URL(url);
    return !/^wss?:$/.test(protocol) || hash !== '';
  });
  if (urls.length > 0 && wrong === undefined) return;
  throw fail(
    'MATCHING_CONFIG_INVALID',
    `an address of the link is ws://host:port, not ${wrong ?? 'missing'}`,
  );
}

const linkDown = (why: string): Error => fail('MATCHING_LINK_DOWN', why);

class Client implements EngineLink {
  readonly config: EngineConfig;
  readonly #options: ConnectLinkOptions;
  readonly #limits: LinkClientLimits;
  readonly #urls: readonly string[];
  readonly #meaning: Meaning;
  readonly #submissions: Submissions;
  readonly #listeners = new Set<LinkListener>();
  readonly #closing = new AbortController();
  readonly #running: Promise<void>;
  readonly #sweep: NodeJS.Timeout;
  #waiters: Waiter[] = [];
  #connection: Connection | undefined;
  /** Of the connection there is; undefined until it has said it. */
  #hello: ServerHello | undefined;
  #mirror: Mirror | undefined;
  #arriving: ArrivingSnapshot | undefined;
  /** With the connection there is; the view, ever. */
  #isUpToDate = false;
  #wasUpToDate = false;
  #engineName: string | undefined;
  #epoch = 0;
  #settlementLags = false;
  /** What the last connection ended with. */
  #problem: string | undefined;
  /** By the address that was tried last; and when all of them have refused, for those who wait. */
  #refusal: string | undefined;
  #allRefused: Error | undefined;

  constructor(options: ConnectLinkOptions) {
    const { url, token, config, limits } = options;
    assertToken(token);
    this.config = config;
    this.#options = options;
    this.#limits = { ...clientLimits, ...limits };
    this.#urls = typeof url === 'string' ? [url] : url;
    assertUrls(this.#urls);
    this.#meaning = {
      protocol: protocolVersion,
      semantics: semanticsVersion,
      configHash: Buffer.from(configHashOf(config)).toString('hex'),
    };
    this.#submissions = new Submissions(this.#limits);
    this.#sweep = setInterval(() => this.#submissions.expire(performance.now()), sweepMs);
    this.#running = keepConnected({
      urls: this.#urls,
      limits: this.#limits,
      signal: this.#closing.signal,
      connect: async (to) => await this.#connect(to),
      onAllRefused: () => {
        this.#allRefused = fail('MATCHING_LINK_REFUSED', this.#refusal ?? 'every address refuses the link');
        this.#settleWaiters(this.#allRefused);
      },
    });
  }

  get engineName(): string {
    if (this.#engineName === undefined) throw linkDown('there was no connection to the engine yet');
    return this.#engineName;
  }

  view = (): EngineView => {
    if (this.#mirror === undefined) throw linkDown('there is no snapshot of the engine yet');
    return this.#mirror.engine;
  };

  state = (): LinkState => ({
    connected: this.#isUpToDate,
    epoch: this.#epoch,
    settlementLags: this.#settlementLags,
    ...(this.#isUpToDate || this.#problem === undefined ? {} : { problem: this.#problem }),
  });

  subscribe = (listener: LinkListener): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  ready = async (): Promise<void> => {
    if (this.#wasUpToDate) return;
    if (this.#closing.signal.aborted) throw linkDown('the link was closed');
    if (this.#allRefused !== undefined) throw this.#allRefused;
    await new Promise<void>((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
    });
  };

  close = async (): Promise<void> => {
    this.#closing.abort();
    this.#connection?.close(1000, 'closed');
    this.#submissions.end();
    this.#settleWaiters(linkDown('the link was closed'));
    clearInterval(this.#sweep);
    await this.#running;
  };

  // -------------------------------------------------------------- commands

  submit = async (command: CommandBody, bound?: TakenBy): Promise<readonly EngineEvent[]> => {
    const [events = []] = await this.submitAll([command], bound);
    return events;
  };

  submitAll = async (
    commands: readonly CommandBody[],
    bound?: TakenBy,
  ): Promise<readonly (readonly EngineEvent[])[]> => {
    if (commands.length > linkBatchMax)
      throw new RangeError(`${commands.length} commands, at most ${linkBatchMax} go at once`);
    for (const command of commands) assertFits(command);
    if (commands.length === 0) return [];
    if (this.#connection === undefined || !this.#isUpToDate)
      throw linkDown('there is no connection to the engine');
    this.#submissions.assertRoom(commands.length);
    const slots = commandSlots(new ArrayBuffer(commands.length * commandBytes));
    commands.forEach((command, at) => {
      writeCommand(slots, at, { ...command, seq: bound?.lastSeq ?? 0, timeMs: 0 });
    });
    const { request, outcome } = this.#submissions.add(commands.length, performance.now());
    const message = head(messageKind.submit, slots.bytes.length, { count: commands.length, number: request });
    message.set(slots.bytes, headBytes);
    this.#connection.send(message);
    return await outcome;
  };

  // -------------------------------------------------------------- connections

  async #connect(url: string): Promise<Attempt> {
    const { token } = this.#options;
    const { connectMs, silentMs } = this.#limits;
    const connection = dial({
      url,
      token,
      connectMs,
      silentMs,
      onMessage: (data, isBinary) => this.#hear(decode(isBinary ? data : undefined), connection, url),
    });
    this.#connection = connection;
    const end = await connection.ended;
    const wasUpToDate = this.#isUpToDate;
    this.#connection = undefined;
    this.#hello = undefined;
    this.#arriving = undefined;
    this.#submissions.disconnected();
    this.#lose();
    this.#heardEnd(url, end);
    if (wasUpToDate) return 'served';
    return end.isRefused ? 'refused' : 'away';
  }

  #heardEnd(url: string, { isRefused, problem }: ConnectionEnd): void {
    if (this.#closing.signal.aborted) return;
    this.#problem = `${url}${isRefused ? ' refuses the link' : ''}: ${problem}`;
    if (isRefused) this.#refusal = this.#problem;
    else this.#allRefused = undefined;
    this.#tell({ kind: 'disconnected', url, isRefused, problem });
  }

  #settleWaiters(error?: Error): void {
    for (const { resolve, reject } of this.#waiters.splice(0)) {
      if (error === undefined) resolve();
      else reject(error);
    }
  }

  #tell(notice: LinkNotice): void {
    this.#options.onNotice?.(notice);
  }

  // -------------------------------------------------------------- messages

  #hear(message: Message, connection: Connection, url: string): void {
    const { kind, content } = message;
    if (this.#hello === undefined) {
      if (kind !== messageKind.serverHello) connection.close(closeCode.badMessage, 'no hello came first');
      else this.#greet(readServerHello(content), connection, url);
      return;
    }
    if (kind === messageKind.commands) this.#apply(message, connection);
    else if (kind === messageKind.taken) {
      const { request, firstSeq } = readTaken(message);
      this.#submissions.taken(request, this.#hello.epoch, firstSeq);
    } else if (kind === messageKind.refused) this.#submissions.refused(message.number, readRefused(content));
    else if (kind === messageKind.status) {
      const { settlementLags, stateHash } = readStatus(content);
      this.#settlementLags = settlementLags;
      if (stateHash !== undefined) this.#compare(stateHash, connection);
    } else if (kind === messageKind.reset) this.#endReset(new ArrivingSnapshot(readReset(content)));
    else if (kind === messageKind.snapshotPart) this.#addPart(content);
    else connection.close(closeCode.badMessage, `message ${kind} was not expected`);
  }

  #greet(hello: ServerHello, connection: Connection, url: string): void {
    const { engineName, epoch } = hello;
    const wanted = this.#engineName ?? this.#options.engineName ?? engineName;
    const mismatch = mismatchOf(this.#meaning, hello);
    if (mismatch !== undefined) connection.close(mismatch.code, mismatch.reason);
    else if (engineName !== wanted)
      connection.close(closeCode.otherEngine, `it is engine ${engineName}, not ${wanted}`);
    else if (epoch < this.#epoch)
      connection.close(closeCode.stalePrimary, `its epoch ${epoch} is over, ${this.#epoch} has begun`);
    else {
      this.#engineName = engineName;
      this.#epoch = epoch;
      this.#hello = hello;
      this.#submissions.follow(hello);
      if (this.#mirror !== undefined && this.#mirror.engine.seq > hello.seq)
        this.#diverged(`the engine has ${hello.seq} commands, the view had more`);
      if (this.#mirror !== undefined) this.#mirror.hashEvery = hello.hashEvery;
      const afterSeq = this.#mirror?.engine.seq ?? 0;
      this.#tell({ kind: 'connected', url, epoch, afterSeq });
      connection.send(encodeClientHello({ ...this.#meaning, seq: afterSeq }));
      this.#lookUpToDate();
    }
  }

  #apply({ content, count }: Message, connection: Connection): void {
    const mirror = this.#mirror;
    if (mirror === undefined) {
      connection.close(closeCode.badMessage, 'commands came before a snapshot');
      return;
    }
    try {
      mirror.apply(content, count, (events, portion) => this.#give(events, portion));
    } catch (error) {
      this.#diverged(messageOf(error));
      connection.close(closeCode.diverged, 'the view cannot go on');
      return;
    }
    this.#submissions.settle(mirror.engine.seq);
    this.#lookUpToDate();
  }

  #give(events: EventSlots, count: number): void {
    this.#tellListeners(({ onEvents }) => onEvents(events, count));
    this.#submissions.see(events, count);
  }

  #tellListeners(tell: (listener: LinkListener) => void): void {
    // A copy: who subscribes during the call begins with the next portion.
    for (const listener of [...this.#listeners]) {
      try {
        tell(listener);
      } catch (error) {
        this.#listeners.delete(listener);
        this.#tell({
          kind: 'listener-failed',
          seq: this.#mirror?.engine.seq ?? 0,
          problem: messageOf(error),
        });
      }
    }
  }

  #lookUpToDate(): void {
    if (this.#isUpToDate || this.#mirror === undefined || this.#hello === undefined) return;
    if (this.#mirror.engine.seq < this.#hello.seq) return;
    this.#isUpToDate = true;
    this.#wasUpToDate = true;
    this.#allRefused = undefined;
    this.#problem = undefined;
    this.#settleWaiters();
    this.#tellListeners(({ onConnected }) => onConnected?.(true));
  }

  #lose(): void {
    if (!this.#isUpToDate) return;
    this.#isUpToDate = false;
    this.#tellListeners(({ onConnected }) => onConnected?.(false));
  }

  // -------------------------------------------------------------- beginning anew

  #addPart(part: Buffer): void {
    if (this.#arriving?.add(part) !== true) throw fail('MATCHING_LINK_REFUSED', 'a part of no snapshot came');
    this.#endReset(this.#arriving);
  }

  #endReset(arriving: ArrivingSnapshot): void {
    this.#arriving = arriving;
    if (!arriving.isWhole) return;
    this.#arriving = undefined;
    const { seq } = arriving;
    this.#mirror = arriving.mirror(this.config);
    this.#mirror.hashEvery = this.#hello?.hashEvery ?? 1;
    this.#submissions.skipped(seq);
    this.#tell({ kind: 'reset', seq });
    this.#tellListeners(({ onReset }) => onReset());
    this.#lookUpToDate();
  }

  #compare(stateHash: StateHash, connection: Connection): void {
    const { seq, hash } = stateHash;
    if (this.#mirror?.isSame(stateHash) !== false) return;
    this.#diverged(`after command ${seq} its state hash is ${this.#mirror.hashAt(seq) ?? ''}, not ${hash}`);
    connection.close(closeCode.diverged, 'the view has diverged');
  }

  /** What is wrong is not shown any longer. */
  #diverged(problem: string): void {
    this.#tell({ kind: 'diverged', seq: this.#mirror?.engine.seq ?? 0, problem });
    this.#mirror = undefined;
    this.#wasUpToDate = false;
    this.#lose();
  }
}

/** Between two looks for answers that have not come. */
const sweepMs = 500;

/**
 * Connects to the process of the engine, and again whenever the connection is lost, until it is closed. It goes on where its view
 * is; where that cannot be, the view begins anew. `engineName` throws MATCHING_LINK_DOWN before the first connection.
 * @throws MATCHING_CONFIG_INVALID (token, address)
 */
export function connectLink(options: ConnectLinkOptions): EngineLink {
  return new Client(options);
}
