/**
 * A sequencer in its own process under the load of several clients, killed and stopped again and again. In the end the journal
 * must hold each command that was acknowledged, where its answer said and with the events it told.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { nodeProcess } from '../../infra/dev/node-process.ts';
import { commandBytes, commandSlots, writeCommand } from '../../matching/commands.ts';
import { type EngineEvent, readEvent } from '../../matching/events.ts';
import { configHashOf, nodeFiles, Replica } from '../../matching/journal/index.ts';
import { JournalReader } from '../../matching/journal/reader.ts';
import type { DrillReport } from '../../matching/standby/index.ts';
import { eventsDigest, loadCommand, loadConfig, sequenced } from './matching-load.ts';

/** Commands of one client that wait for their answers. */
const window = 48;

/** That the other end was killed shows in what is missing; the reader of lines tells of it, too. */
function linesOf(socket: Socket): Interface {
  socket.on('error', () => undefined);
  return createInterface({ input: socket }).on('error', () => undefined);
}

/** `ok` answers: what was told to be durable. */
export interface Acknowledged {
  readonly client: number;
  readonly serial: number;
  readonly seq: number;
  readonly digest: string;
}

export class EngineProcess {
  readonly child: ChildProcess;
  readonly socketPath: string;
  readonly exited: Promise<number | null>;

  private constructor(child: ChildProcess, socketPath: string) {
    this.child = child;
    this.socketPath = socketPath;
    this.exited = once(child, 'exit').then(([code]) => code as number | null);
  }

  static async start(role: 'primary' | 'standby', folder: string, name: string): Promise<EngineProcess> {
    const socketPath = path.join(folder, `${name}.socket`);
    const { command, args, env, cwd } = nodeProcess({
      name,
      entry: 'test/support/matching-process.ts',
      args: [role, path.join(folder, 'journal'), socketPath],
      logFile: '',
      ready: () => Promise.resolve(true),
      readyTimeoutMs: 0,
    });
    // Standard input closes when the test ends, however that ends; then the process does too.
    const child = spawn(command, [...args], { env, cwd, stdio: ['pipe', 'pipe', 'inherit'] });
    const started = new EngineProcess(child, socketPath);
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    await Promise.race([
      once(lines, 'line'),
      started.exited.then((code) => {
        throw new Error(`${name} ended with ${String(code)} before it was ready`);
      }),
    ]);
    return started;
  }

  /** One request, one answer. */
  async ask(line: string): Promise<string> {
    const socket = connect(this.socketPath);
    socket.write(`${line}\n`);
    const [answer] = (await once(linesOf(socket), 'line')) as [string];
    socket.end();
    return answer;
  }

  async state(): Promise<{ seq: number; hash: string }> {
    const [, seq = '', hash = ''] = (await this.ask('state')).split(' ');
    return { seq: Number.parseInt(seq, 10), hash };
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }
}

/** Clients that never send a command twice: one without an answer stays open, and may or may not be in the journal. */
export class Clients {
  readonly acknowledged: Acknowledged[] = [];
  readonly refused: string[] = [];
  /** Commands that never got an answer. */
  unanswered = 0;
  readonly #serials: number[];
  #sockets: Socket[] = [];

  constructor(count: number) {
    this.#serials = new Array<number>(count).fill(0);
  }

  connect(to: EngineProcess): void {
    this.#sockets = this.#serials.map((_, client) => this.#serve(client, connect(to.socketPath)));
  }

  disconnect(): void {
    for (const socket of this.#sockets.splice(0)) socket.destroy();
  }

  /** Waits for so many more answers. */
  async progress(count: number): Promise<void> {
    const wanted = this.acknowledged.length + count;
    while (this.acknowledged.length < wanted) {
      expect(this.refused).toEqual([]);
      await delay(1);
    }
  }

  #serve(client: number, socket: Socket): Socket {
    let open = 0;
    const send = (): void => {
      let lines = '';
      for (; open < window; open++) {
        const serial = (this.#serials[client] ?? 0) + 1;
        this.#serials[client] = serial;
        lines += `${client} ${serial}\n`;
      }
      if (!socket.destroyed) socket.write(lines);
    };
    socket.on('close', () => {
      this.unanswered += open;
    });
    linesOf(socket).on('line', (line) => {
      const answer = parseAnswer(line);
      if (answer === undefined) this.refused.push(line);
      else this.acknowledged.push(answer);
      open--;
      if (answer !== undefined) send();
    });
    send();
    return socket;
  }
}

export function parseAnswer(line: string): Acknowledged | undefined {
  const [word, client = '', serial = '', seq = '', digest = ''] = line.split(' ');
  if (word !== 'ok') return undefined;
  const number = (text: string): number => Number.parseInt(text, 10);
  return { client: number(client), serial: number(serial), seq: number(seq), digest };
}

/** Every command in the journal and its events, from the first one on, by an engine that saw no snapshot. */
function replayed(folder: string) {
  const configHash = configHashOf(loadConfig);
  const slots = new Map<number, { bytes: Buffer; timeMs: number }>();
  const reader = new JournalReader({ files: nodeFiles, folder, configHash, afterSeq: 0 });
  reader.finish(
    (frame, { bytes, float64 }, at) => {
      for (let index = 0; index < frame.commands; index++) {
        const start = (at + index) * commandBytes;
        slots.set(frame.firstSeq + index, {
          bytes: Buffer.from(bytes.slice(start, start + commandBytes)),
          timeMs: float64[(at + index) * 8 + 1] ?? 0,
        });
      }
    },
    () => undefined,
  );
  const events = new Map<number, EngineEvent[]>();
  const replica = new Replica({
    files: nodeFiles,
    folder,
    config: loadConfig,
    configHash,
    snapshotsThroughSeq: 0,
    onEvents: (written, count) => {
      for (let at = 0; at < count; at++) {
        const event = readEvent(written, at);
        const before = events.get(event.seq);
        if (before === undefined) events.set(event.seq, [event]);
        else before.push(event);
      }
    },
  });
  return { slots, events, recovered: replica.finish() };
}

/** @param state of the engine that serves in the end, recovered from a snapshot */
export function expectAllKept(
  folder: string,
  acknowledged: readonly Acknowledged[],
  state: { readonly seq: number; readonly hash: string },
): void {
  const { slots, events, recovered } = replayed(path.join(folder, 'journal'));
  expect({ seq: recovered.nextSeq - 1, hash: recovered.stateHash }).toEqual(state);
  expect(recovered.hashesCompared).toBeGreaterThan(0);
  expect(new Set(acknowledged.map(({ seq }) => seq)).size).toBe(acknowledged.length);
  const own = commandSlots(new ArrayBuffer(commandBytes));
  const wrong = acknowledged.filter(({ client, serial, seq, digest }) => {
    const slot = slots.get(seq);
    writeCommand(own, 0, sequenced(loadCommand(client, serial), seq, slot?.timeMs ?? 0));
    return (
      slot === undefined || !slot.bytes.equals(own.bytes) || eventsDigest(events.get(seq) ?? []) !== digest
    );
  });
  expect(wrong).toEqual([]);
}

async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(path.join(tmpdir(), 'strongroom-crash-'));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const clientCount = 4;
/** Somewhere in the life of a process: after some answers, and then anywhere within a frame. */
const randomMoment = async (clients: Clients): Promise<void> => {
  await clients.progress(Math.ceil(Math.random() * 1_500));
  await delay(Math.random() * 8);
};

/** `kill -9`, start, go on. */
export async function killSequencer(kills: number): Promise<{ acknowledged: number; unanswered: number }> {
  return await inFolder(async (folder) => {
    const clients = new Clients(clientCount);
    let running = await EngineProcess.start('primary', folder, 'engine-0');
    try {
      expect(await running.ask(`open ${clientCount}`)).toBe('opened');
      for (let kill = 1; kill <= kills; kill++) {
        clients.connect(running);
        await randomMoment(clients);
        running.kill('SIGKILL');
        await running.exited;
        clients.disconnect();
        running = await EngineProcess.start('primary', folder, `engine-${kill}`);
      }
      clients.connect(running);
      await clients.progress(100);
      clients.disconnect();
      expectAllKept(folder, clients.acknowledged, await settled(running));
      // A kill that met no work would prove nothing.
      expect(clients.unanswered).toBeGreaterThanOrEqual(kills);
      return { acknowledged: clients.acknowledged.length, unanswered: clients.unanswered };
    } finally {
      running.kill('SIGKILL');
      await running.exited;
    }
  });
}

/** Its state when nothing is on its way any more. */
async function settled(running: EngineProcess): Promise<{ seq: number; hash: string }> {
  for (let before = await running.state(); ; ) {
    await delay(50);
    const now = await running.state();
    if (now.seq === before.seq) return now;
    before = now;
  }
}

/** The primary is stopped in the middle of its work, another takes over, the old one wakes up. */
export async function takeOverFromPaused(rounds: number): Promise<readonly DrillReport[]> {
  return await inFolder(async (folder) => {
    const all = new Set<EngineProcess>();
    const start = async (role: 'primary' | 'standby', name: string): Promise<EngineProcess> => {
      const started = await EngineProcess.start(role, folder, name);
      all.add(started);
      return started;
    };
    try {
      const reports: DrillReport[] = [];
      const clients = new Clients(clientCount);
      let primary = await start('primary', 'engine-0');
      expect(await primary.ask(`open ${clientCount}`)).toBe('opened');
      for (let round = 1; round <= rounds; round++) {
        const standby = await start('standby', `engine-${round}`);
        clients.connect(primary);
        await randomMoment(clients);
        const late = lateCommands(primary, round);
        await late.connected;
        primary.kill('SIGSTOP');
        const acknowledged = clients.acknowledged.length;
        const { report } = await takenOver(standby);
        reports.push(report);
        // Everything that was acknowledged is in what the new primary has, the moment it takes over.
        const last = clients.acknowledged
          .slice(0, acknowledged)
          .reduce((max, { seq }) => Math.max(max, seq), 0);
        expect(report.seq).toBeGreaterThanOrEqual(last);
        late.send();
        primary.kill('SIGCONT');
        expect(await primary.exited).toBe(3);
        clients.disconnect();
        expect(late.answers.filter((answer) => answer.startsWith('ok'))).toEqual([]);
        clients.refused.length = 0;
        primary = standby;
      }
      clients.connect(primary);
      await clients.progress(100);
      clients.disconnect();
      // Also what the old primaries told in their last moment.
      expectAllKept(folder, clients.acknowledged, await settled(primary));
      return reports;
    } finally {
      for (const running of all) {
        running.kill('SIGKILL');
        await running.exited;
      }
    }
  });
}

async function takenOver(standby: EngineProcess): Promise<{ report: DrillReport }> {
  const answer = await standby.ask('take-over');
  expect(answer).toMatch(/^taken /);
  return { report: JSON.parse(answer.slice('taken '.length)) as DrillReport };
}

/** Commands that reach the old primary only after it was fenced. */
function lateCommands(primary: EngineProcess, round: number) {
  const socket = connect(primary.socketPath);
  const answers: string[] = [];
  linesOf(socket).on('line', (line) => answers.push(line));
  return {
    answers,
    connected: once(socket, 'connect'),
    send: () => {
      for (let index = 0; index < 20; index++) socket.write(`0 ${round * 1_000_000 + index}\n`);
    },
  };
}
