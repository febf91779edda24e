import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { nodeProcess } from '../../../infra/dev/node-process.ts';
import { type EngineEvent, readEvent } from '../../../matching/events.ts';
import { nodeFiles, replayEvents } from '../../../matching/journal/index.ts';
import type { EngineLink } from '../../../matching/link/index.ts';
import { clientOrderIdOf, loadCommand, loadConfig, openingCommands } from '../../support/matching-load.ts';
import { throwawayFolder, until } from '../journal/fixture.ts';
import { atEnd, codeOf, connect, token } from './fixture.ts';
import { Relay } from './relay.ts';

async function start(folder: string): Promise<{ child: ChildProcess; port: number }> {
  const { command, args, env, cwd } = nodeProcess({
    name: 'served-engine',
    entry: 'test/matching/link/served-process.ts',
    args: [folder, token],
    logFile: '',
    ready: () => Promise.resolve(true),
    readyTimeoutMs: 0,
  });
  // Standard input closes when the test ends, however that ends; then the process does too.
  const child = spawn(command, [...args], { env, cwd, stdio: ['pipe', 'pipe', 'inherit'] });
  atEnd(async () => child.kill('SIGKILL'));
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return { child, port: Number.parseInt(line.slice('port '.length), 10) };
}

interface Sent {
  readonly client: number;
  readonly serial: number;
  code: string;
  events: readonly EngineEvent[];
}
const clients = 4;
/** Of each client, that wait for their answers. */
const window = 16;

/** Sends without a pause while there is a connection; a command is never sent twice. */
class Load {
  readonly sent: Sent[] = [];
  readonly #link: EngineLink;
  readonly #serials = new Array<number>(clients).fill(0);
  #isOver = false;

  constructor(link: EngineLink) {
    this.#link = link;
  }

  get answered(): number {
    return this.sent.filter(({ code }) => code === 'none').length;
  }

  async run(): Promise<void> {
    await Promise.all(
      Array.from({ length: clients * window }, async (_, index) => {
        while (!this.#isOver) await this.#one(index % clients);
      }),
    );
  }

  end(): void {
    this.#isOver = true;
  }

  async #one(client: number): Promise<void> {
    const serial = (this.#serials[client] ?? 0) + 1;
    this.#serials[client] = serial;
    const sent: Sent = { client, serial, code: 'waits', events: [] };
    this.sent.push(sent);
    const outcome = this.#link.submit(loadCommand(client, serial));
    sent.code = await codeOf(outcome);
    if (sent.code === 'none') sent.events = await outcome;
    else await delay(5);
  }
}

/** Every event of the journal by command, from the first one on, by an engine that saw no snapshot. */
function replayed(folder: string) {
  const events: EngineEvent[] = [];
  const { stateHash, nextSeq } = replayEvents({
    files: nodeFiles,
    folder,
    config: loadConfig,
    fromSeq: 1,
    onEvents: (slots, from, count) => {
      for (let at = from; at < from + count; at++) events.push(readEvent(slots, at));
    },
  });
  const bySeq = new Map<number, EngineEvent[]>();
  for (const event of events) bySeq.set(event.seq, [...(bySeq.get(event.seq) ?? []), event]);
  return { events, bySeq, hash: stateHash, seq: nextSeq - 1 };
}

test('kill -9 of the engine: each answer is right, each refusal is true, and no event is missed or seen twice', {
  timeout: 180_000,
}, async () => {
  const folder = throwawayFolder();
  let engine = await start(folder);
  const relay = await Relay.to(engine.port);
  const { link, events, resets, notices } = connect(relay.url);
  await link.ready();
  await link.submitAll(openingCommands(clients));
  const load = new Load(link);
  const running = load.run();
  for (let kill = 0; kill < 2; kill++) {
    const wanted = load.answered + 200 + Math.ceil(Math.random() * 800);
    await until(() => load.answered >= wanted);
    engine.child.kill('SIGKILL');
    await once(engine.child, 'exit');
    await until(() => !link.state().connected);
    engine = await start(folder);
    relay.lead(engine.port);
    await until(() => link.state().connected);
    expect(link.state().epoch).toBe(kill + 2);
  }
  const wanted = load.answered + 200;
  await until(() => load.answered >= wanted);
  load.end();
  await running;
  await link.close();
  const { seq, hash } = { seq: link.view().seq, hash: link.view().stateHash() };
  engine.child.kill('SIGKILL');
  await once(engine.child, 'exit');

  const journal = replayed(folder);
  expect({ seq, hash }).toEqual({ seq: journal.seq, hash: journal.hash });
  expect(events).toEqual(journal.events);
  expect(resets).toEqual([0]);
  expect(notices.filter(({ kind }) => kind === 'diverged')).toEqual([]);
  // A kill that met no work would prove nothing.
  const of = (code: string): Sent[] => load.sent.filter((sent) => sent.code === code);
  expect(of('MATCHING_OUTCOME_UNKNOWN').length + of('MATCHING_STOPPED').length).toBeGreaterThan(0);
  for (const { events: answer } of of('none')) expect(answer).toEqual(journal.bySeq.get(answer[0]?.seq ?? 0));
  const accepted = new Set(
    journal.events.flatMap((event) => (event.kind === 'accepted' ? [event.clientOrderId] : [])),
  );
  for (const { client, serial } of [...of('MATCHING_STOPPED'), ...of('MATCHING_LINK_DOWN')])
    expect(accepted.has(clientOrderIdOf(client, serial))).toBe(false);
  expect(new Set(load.sent.map(({ code }) => code))).not.toContain('waits');
});
