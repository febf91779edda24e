import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, describe, expect, test } from 'vitest';
import { createSupervisor, type ProcessExit, type ProcessSpec } from '../../infra/dev/processes.ts';
import { checkoutRoot } from '../../infra/dev/state.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'processes-'));
const supervisor = createSupervisor();
afterAll(async () => {
  await supervisor.stopAll();
  rmSync(folder, { recursive: true });
});

function shell(
  name: string,
  script: string,
  ready: ProcessSpec['ready'] = () => Promise.resolve(true),
): ProcessSpec {
  return {
    name,
    command: 'sh',
    args: ['-c', script],
    env: { PATH: process.env['PATH'] ?? '' },
    logFile: path.join(folder, `${name}.log`),
    stopSignal: 'SIGTERM',
    ready,
    readyTimeoutMs: 5000,
  };
}
const never = (): Promise<boolean> => Promise.resolve(false);

async function waitFor(what: string, condition: () => boolean): Promise<void> {
  for (let waitedMs = 0; !condition(); waitedMs += 25) {
    if (waitedMs > 10_000) throw new Error(`waited in vain for: ${what}`);
    await delay(25);
  }
}
/** A zombie counts as ended: in a container nobody may reap it. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

describe('a process that does not come up', () => {
  test('and ended: the error names it, its exit code, its log and the last lines', async () => {
    const spec = shell('dying', 'echo opening the vault; echo no such key >&2; exit 3', never);
    await expect(supervisor.start(spec)).rejects.toMatchObject({
      code: 'INFRA_PROCESS_NOT_READY',
      details: { process: 'dying', logFile: spec.logFile },
      message: expect.stringMatching(
        /dying.*exit code 3.*dying\.log.*opening the vault\nno such key/s,
      ) as string,
    });
  });

  test('and hangs: it is stopped when its time is over', async () => {
    const pidFile = path.join(folder, 'hanging.pid');
    const spec = { ...shell('hanging', `echo $$ > ${pidFile}; exec sleep 300`, never), readyTimeoutMs: 300 };
    await expect(supervisor.start(spec)).rejects.toThrow(/not ready after 300 ms/);
    expect(isRunning(Number.parseInt(readFileSync(pidFile, 'utf8'), 10))).toBe(false);
  });

  test('and does not exist', async () => {
    const spec = { ...shell('missing', '', never), command: '/nowhere/server', args: [] };
    await expect(supervisor.start(spec)).rejects.toMatchObject({
      code: 'INFRA_PROCESS_NOT_READY',
      message: expect.stringContaining('/nowhere/server') as string,
    });
  });
});

describe('a running process', () => {
  test('is found, killed, restarted and stopped', async () => {
    const first = await supervisor.start(shell('worker', 'exec sleep 300'));
    expect(supervisor.find('worker')?.pid).toBe(first.pid);
    expect(await first.kill('SIGKILL')).toEqual({ code: null, signal: 'SIGKILL', expected: true });
    expect(supervisor.find('worker')).toBeUndefined();
    const second = await supervisor.restart('worker');
    expect(second.pid).not.toBe(first.pid);
    await second.stop();
    expect(isRunning(second.pid)).toBe(false);
    await expect(supervisor.restart('wroker')).rejects.toMatchObject({ code: 'INFRA_PROCESS_UNKNOWN' });
  });

  test('that ends by itself is reported, one that was stopped is not', async () => {
    const ends: [string, ProcessExit][] = [];
    supervisor.onUnexpectedExit(({ spec }, exit) => ends.push([spec.name, exit]));
    await supervisor.start(shell('frail', 'sleep 0.1; exit 7'));
    const obedient = await supervisor.start(shell('obedient', 'exec sleep 300'));
    await obedient.stop();
    await waitFor('the report', () => ends.length > 0);
    expect(ends).toEqual([['frail', { code: 7, signal: null, expected: false }]]);
  });
});

test.each(['SIGKILL', 'SIGTERM'] as const)(
  'nothing outlives an orchestrator that gets %s',
  async (signal) => {
    const runFolder = mkdtempSync(path.join(folder, 'orphans-'));
    const orchestrator = spawn(
      process.execPath,
      ['--import', 'tsx', 'test/infra/fixtures/orchestrator.ts', runFolder],
      { cwd: checkoutRoot, stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const [line] = (await once(orchestrator.stdout, 'data')) as [Buffer];
    const pids = line
      .toString()
      .trim()
      .split(' ')
      .map((digits) => Number.parseInt(digits, 10));
    expect(pids).toHaveLength(2);
    await waitFor('the own process to run its code', () => existsSync(path.join(runFolder, 'own.ready')));
    expect(pids.every(isRunning)).toBe(true);
    orchestrator.kill(signal);
    await waitFor('the children to end', () => !pids.some(isRunning));
  },
);
