/** Real sequencers, real sockets: an engine that is served, and the links to it. All are closed after each test. */
import { afterEach, expect } from 'vitest';
import { isStrongroomError } from '#core/errors';
import type { EngineConfig } from '../../../matching/config.ts';
import { type EngineEvent, type EventSlots, readEvent } from '../../../matching/events.ts';
import {
  type ConnectLinkOptions,
  connectLink,
  type EngineLink,
  type LinkNotice,
  type LinkServer,
  type LinkServerNotice,
  type LinkServerOptions,
  serveLink,
} from '../../../matching/link/index.ts';
import { openSequencer, type Sequencer, type SequencerOptions } from '../../../matching/sequencer/index.ts';
import { loadConfig } from '../../support/matching-load.ts';
import { throwawayFolder, until } from '../journal/fixture.ts';

export const token = 'a-token-for-tests-and-nothing-else';
const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close().catch(() => undefined);
});
export const atEnd = (close: () => Promise<unknown>): void => void closing.push(close);

export interface Served {
  readonly folder: string;
  readonly sequencer: Sequencer;
  readonly server: LinkServer;
  readonly url: string;
  readonly notices: readonly LinkServerNotice[];
}
export interface ServeOptions {
  readonly folder?: string;
  readonly config?: EngineConfig;
  readonly sequencer?: Partial<SequencerOptions>;
  readonly server?: Partial<LinkServerOptions>;
}
export async function serve({
  folder = throwawayFolder(),
  config = loadConfig,
  ...more
}: ServeOptions = {}): Promise<Served> {
  const sequencer = await openSequencer({
    folder,
    config,
    clock: { nowMs: () => Date.now() },
    ...more.sequencer,
  });
  atEnd(async () => await sequencer.close());
  return { folder, sequencer, ...(await serveAgain(sequencer, folder, { config, ...more.server })) };
}

/** A server for a sequencer that runs. */
export async function serveAgain(
  sequencer: Sequencer,
  folder: string,
  options: Partial<LinkServerOptions> = {},
): Promise<Pick<Served, 'server' | 'url' | 'notices'>> {
  const notices: LinkServerNotice[] = [];
  const server = await serveLink({
    sequencer,
    folder,
    config: loadConfig,
    engineName: 'main',
    token,
    listen: { host: '127.0.0.1', port: 0 },
    settlementLags: () => false,
    onNotice: (notice) => notices.push(notice),
    ...options,
    limits: { statusMs: 20, closeMs: 200, ...options.limits },
  });
  atEnd(async () => await server.close());
  return { server, url: `ws://127.0.0.1:${server.port}`, notices };
}

export interface Linked {
  readonly link: EngineLink;
  readonly notices: LinkNotice[];
  /** Since the last reset. */
  readonly events: EngineEvent[];
  /** Sequence numbers of the view at each reset. */
  readonly resets: number[];
}
export function connect(url: string | readonly string[], options: Partial<ConnectLinkOptions> = {}): Linked {
  const notices: LinkNotice[] = [];
  const link = connectLink({
    url,
    token,
    config: loadConfig,
    onNotice: (notice) => notices.push(notice),
    ...options,
    limits: { retryMaxMs: 100, refusedRetryMs: 200, ...options.limits },
  });
  atEnd(async () => await link.close());
  const events: EngineEvent[] = [];
  const resets: number[] = [];
  link.subscribe({
    onEvents: append(events),
    onReset: () => {
      resets.push(link.view().seq);
      events.length = 0;
    },
  });
  return { link, notices, events, resets };
}
/** What it publishes from now on. */
export function published(sequencer: Sequencer): EngineEvent[] {
  const events: EngineEvent[] = [];
  sequencer.subscribe((slots, from, count) => {
    for (let at = from; at < from + count; at++) events.push(readEvent(slots, at));
  });
  return events;
}
/** The view has everything the engine has, and it is the same. */
export async function expectSame({ link }: Linked, sequencer: Sequencer): Promise<void> {
  // A view may be ahead of the sequencer's own engine: what is durable has only one outcome.
  await sequencer.published(sequencer.lastSeq);
  const { seq, hash } = await sequencer.state();
  await until(() => link.state().connected && link.view().seq >= seq);
  expect({ seq: link.view().seq, hash: link.view().stateHash() }).toEqual({ seq, hash });
}
/** Before it expects the rejection, so that none is without a listener. */
export const codeOf = async (outcome: Promise<unknown>): Promise<string> =>
  await outcome.then(
    () => 'none',
    (error: unknown) => (isStrongroomError(error) ? error.code : String(error)),
  );

const append =
  (events: EngineEvent[]) =>
  (slots: EventSlots, count: number): void => {
    for (let at = 0; at < count; at++) events.push(readEvent(slots, at));
  };
