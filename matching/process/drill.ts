/**
 * The drill: a primary and a standby in processes of their own, in a throwaway folder, under a load that goes on while the standby
 * takes over. In the end the journal is read from its first command on, and each answer that a client got must be in it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { errorsOf } from '#core/errors';
import { findFreePorts } from '../../infra/dev/ports.ts';
import type { EngineConfig } from '../config.ts';
import { matchingErrors } from '../errors.ts';
import { connectLink, type EngineLink } from '../link/index.ts';
import { type AnsweredCommand, DrillLoad } from './drill-load.ts';
import type { DrillProcessConfig } from './drill-process.ts';
import { missingIn } from './drill-proof.ts';
import type { TakeOverReport } from './engine-process.ts';

const fail = errorsOf(matchingErrors);
const host = '127.0.0.1';
/** tsx compiles at the first start, which takes seconds, and on a busy machine tens of them. */
const startTimeoutMs = 180_000;
/** Answers before the standby is told to take over, and after it has: each client has had many. */
const answersEach = 2_000;
/** For either of them; a machine this slow tells nothing about taking over. */
const loadTimeoutMs = 120_000;
const lookMs = 5;

export interface DrillOutcome {
  readonly ok: boolean;
  /** What the standby measured, milliseconds from being told: nothing more acknowledged by the old one, journal read, commands taken. */
  readonly fencedMs: number;
  readonly recoveredMs: number;
  readonly servingMs: number;
  /** The same until clients could connect. */
  readonly linkMs: number;
  /** The longest time without an answer to any client, from the order to take over on. */
  readonly pauseMs: number;
  /** Commands that were read after the claim; the standby had applied the others already. */
  readonly behind: number;
  readonly epoch: number;
  /** Last command of the old primary that counts. */
  readonly seq: number;
  /** How the old primary ended by itself. */
  readonly oldPrimary: string;
  readonly acknowledged: { readonly before: number; readonly after: number };
  /** Sent, and never answered: they may be in the journal or not. */
  readonly unanswered: number;
  /** Acknowledged, and not in the journal, or with other events than were told. Must be 0. */
  readonly missing: number;
  readonly stateHash: string;
}

interface Node {
  readonly child: ChildProcess;
  readonly healthPort: number;
  readonly exited: Promise<unknown>;
  /** The code it ended with by itself. */
  readonly ended: () => string | undefined;
}

async function startNode(folder: string, name: string, config: DrillProcessConfig): Promise<Node> {
  const file = path.join(folder, `${name}.json`);
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
  const entry = fileURLToPath(new URL('./drill-process.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), entry, file], {
    // Its standard input closes when we end, however that is; then it ends too.
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let ended: string | undefined;
  const exited = once(child, 'exit');
  const lines = createInterface({ input: child.stdout });
  const ready = new Promise<{ healthPort: number }>((resolve) => {
    lines.on('line', (line) => {
      const said = JSON.parse(line) as { healthPort?: number; ended?: string };
      if (said.ended !== undefined) ended = said.ended;
      if (said.healthPort !== undefined) resolve({ healthPort: said.healthPort });
    });
  });
  const { healthPort } = await Promise.race([
    ready,
    exited.then(() => {
      throw fail('MATCHING_STOPPED', `the ${name} of the drill did not start: ${ended ?? 'see above'}`);
    }),
    delay(startTimeoutMs, undefined, { ref: false }).then(() => {
      throw fail('MATCHING_STOPPED', `the ${name} of the drill did not start within ${startTimeoutMs} ms`);
    }),
  ]);
  return { child, healthPort, exited, ended: () => ended };
}

async function untilFollowing({ healthPort }: Node): Promise<void> {
  while (!(await fetch(`http://${host}:${healthPort}/health`)).ok) await delay(lookMs);
}

async function takeOver({ healthPort }: Node, token: string): Promise<TakeOverReport> {
  const response = await fetch(`http://${host}:${healthPort}/takeover`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
  });
  const text = await response.text();
  if (!response.ok) throw fail('MATCHING_STOPPED', `the standby did not take over: ${text}`);
  return JSON.parse(text) as TakeOverReport;
}

async function untilAnswered(load: DrillLoad, wanted: () => boolean): Promise<void> {
  const end = performance.now() + loadTimeoutMs;
  while (!wanted()) {
    load.assertSound();
    if (performance.now() > end)
      throw fail(
        'MATCHING_STOPPED',
        `the load had ${load.answered.length} answers after ${loadTimeoutMs} ms`,
      );
    await delay(lookMs);
  }
}

/** Answers to commands that the old primary took may come from the new one, so epochs say nothing about the pause. */
function longestPause(answered: readonly AnsweredCommand[], fromMs: number): number {
  let pauseMs = 0;
  let beforeMs = fromMs;
  for (const { atMs } of answered) {
    if (atMs < fromMs) continue;
    pauseMs = Math.max(pauseMs, atMs - beforeMs);
    beforeMs = atMs;
  }
  return pauseMs;
}

async function drillIn(folder: string, config: EngineConfig): Promise<DrillOutcome> {
  const token = randomBytes(32).toString('base64url');
  const engineConfigFile = path.join(folder, 'engine.json');
  writeFileSync(engineConfigFile, JSON.stringify(config));
  const journal = path.join(folder, 'journal');
  // Both are named to the clients before the standby listens, so they cannot be left to the system.
  const firstPort = await findFreePorts(2);
  const ports = [firstPort, firstPort + 1] as const;
  const shared = { folder: journal, engineConfigFile, token };
  const nodes: Node[] = [];
  let link: EngineLink | undefined;
  try {
    const primary = await startNode(folder, 'primary', { ...shared, mode: 'primary', linkPort: ports[0] });
    nodes.push(primary);
    link = connectLink({ url: ports.map((port) => `ws://${host}:${port}`), token, config });
    await link.ready();
    const load = new DrillLoad(link, config);
    await load.open();
    const standby = await startNode(folder, 'standby', { ...shared, mode: 'standby', linkPort: ports[1] });
    nodes.push(standby);
    await untilFollowing(standby);
    load.start();
    await untilAnswered(load, () => load.answered.length >= answersEach);
    const toldMs = performance.now();
    const report = await takeOver(standby, token);
    const countAfter = (): number => load.answered.filter(({ seq }) => seq > report.seq).length;
    await untilAnswered(load, () => countAfter() >= answersEach);
    const unanswered = await load.stop();
    await primary.exited;
    standby.child.kill('SIGTERM');
    await standby.exited;
    const { missing, stateHash } = missingIn(journal, config, load.answered);
    const { fencedMs, recoveredMs, servingMs, linkMs, behind, epoch, seq } = report;
    const after = countAfter();
    const oldPrimary = primary.ended() ?? 'killed';
    return {
      ok: missing === 0 && oldPrimary === 'MATCHING_FENCED',
      fencedMs,
      recoveredMs,
      servingMs,
      linkMs,
      pauseMs: longestPause(load.answered, toldMs),
      behind,
      epoch,
      seq,
      oldPrimary,
      acknowledged: { before: load.answered.length - after, after },
      unanswered,
      missing,
      stateHash,
    };
  } finally {
    await link?.close();
    for (const { child, exited } of nodes) {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await exited;
    }
  }
}

/** Everything of it is gone afterwards. @throws MATCHING_STOPPED when a part does not come up */
export async function runDrill(config: EngineConfig): Promise<DrillOutcome> {
  const folder = mkdtempSync(path.join(tmpdir(), 'strongroom-drill-'));
  try {
    return await drillIn(folder, config);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
