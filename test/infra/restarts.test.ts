import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import { createSupervisor, type ProcessSpec, type Supervisor } from '../../infra/dev/processes.ts';
import { type Keeper, keepRunning } from '../../infra/dev/restarts.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'restarts-'));
afterAll(() => rmSync(folder, { recursive: true }));
let supervisor: Supervisor;
let keeper: Keeper;
let told: string[];
beforeEach(() => {
  supervisor = createSupervisor();
  told = [];
  keeper = keepRunning(supervisor, { tell: (text) => told.push(text), firstWaitMs: 4 });
});
afterEach(async () => {
  await supervisor.stopAll();
});

/** @param script `$RUNS` has a line per start */
function shell(name: string, script: string): ProcessSpec {
  const runs = path.join(folder, `${name}.runs`);
  return {
    name,
    command: 'sh',
    args: ['-c', `echo run >> ${runs}; n=$(wc -l < ${runs}); ${script}`],
    env: { PATH: process.env['PATH'] ?? '' },
    logFile: path.join(folder, `${name}.log`),
    stopSignal: 'SIGTERM',
    ready: () => Promise.resolve(existsSync(runs)),
    readyTimeoutMs: 5_000,
  };
}
const runsOf = (name: string): number =>
  readFileSync(path.join(folder, `${name}.runs`), 'utf8')
    .trim()
    .split('\n').length;
async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await delay(10);
}
const toldAbout = (word: string): boolean => told.some((text) => text.includes(word));

test('what ends by itself is started again, and the person is told of both', async () => {
  const first = await supervisor.start(shell('frail', 'exec sleep 300'));
  keeper.keep('frail');
  process.kill(first.pid, 'SIGKILL');
  await until(() => toldAbout('frail runs again'));
  expect(told).toEqual(['frail is started again in 0.004 s (attempt 1 of 5)', 'frail runs again']);
  const second = supervisor.find('frail');
  expect(second?.pid).not.toBe(first.pid);
  await second?.stop();
  expect(told).toHaveLength(2);
});

test('what ends again and again is left after as many attempts, each later than the one before', async () => {
  await supervisor.start(shell('broken', 'sleep 0.05; exit 1'));
  keeper.keep('broken', 2);
  await until(() => toldAbout('is not started again'));
  expect(
    told.filter((text) => text.includes('is started again')).map((text) => text.split(' in ')[1]),
  ).toEqual(
    ['0.004', '0.008', '0.016', '0.032', '0.064'].map((waitS, at) => `${waitS} s (attempt ${at + 1} of 5)`),
  );
  expect(told.at(-1)).toContain('it ended 5 times in a row. Read its log');
  expect(runsOf('broken')).toBe(6);
});

test('what ends again and again after calm times is started again, and each time it is told how often that was', async () => {
  const calm = keepRunning(supervisor, { tell: (text) => told.push(text), firstWaitMs: 4, calmMs: 0 });
  await supervisor.start(shell('recurring', 'exec sleep 300'));
  calm.keep('recurring');
  for (let end = 1; end <= 3; end++) {
    process.kill(supervisor.find('recurring')?.pid ?? 0, 'SIGKILL');
    await until(() => told.length === end * 2);
  }
  expect(told.filter((_, at) => at % 2 === 0)).toEqual([
    'recurring is started again in 0.004 s (attempt 1 of 5)',
    'recurring is started again in 0.004 s (attempt 1 of 5; it has ended 2 times by now)',
    'recurring is started again in 0.004 s (attempt 1 of 5; it has ended 3 times by now)',
  ]);
});

test('what says that a person must decide is not started again, whether it ran or was just starting', async () => {
  await supervisor.start(shell('decided', 'echo fenced by another; sleep 0.05; exit 2'));
  keeper.keep('decided', 2);
  await until(() => told.length > 0);
  expect(told).toEqual([
    'decided is not started again: a person must decide first. It said last: fenced by another',
  ]);
  const starting = { ...shell('mistaken', '[ $n = 1 ] && exec sleep 300; exit 2') };
  let isReady = true;
  const { pid } = await supervisor.start({ ...starting, ready: () => Promise.resolve(isReady) });
  await until(() => existsSync(path.join(folder, 'mistaken.runs')));
  isReady = false;
  keeper.keep('mistaken', 2);
  process.kill(pid, 'SIGKILL');
  await until(() => toldAbout('mistaken is not started again'));
  expect(runsOf('mistaken')).toBe(2);
});

test('what lacks another process runs again as soon as it does what it can, and is not ended for the rest', async () => {
  let hasOther = true;
  const spec = {
    ...shell('reliant', 'exec sleep 300'),
    ready: () => Promise.resolve(hasOther),
    up: () => Promise.resolve(true),
    readyTimeoutMs: 50,
  };
  const first = await supervisor.start(spec);
  expect(first.wasReady).toBe(true);
  keeper.keep('reliant');
  hasOther = false;
  process.kill(first.pid, 'SIGKILL');
  await until(() => toldAbout('reliant runs again'));
  const again = supervisor.find('reliant')?.pid;
  await delay(100);
  expect([supervisor.find('reliant')?.pid, told.length]).toEqual([again, 2]);

  // Asked for all of it, a start gives that its time, and then leaves it running as well.
  const whole = await supervisor.restart('reliant');
  expect([whole.wasReady, supervisor.find('reliant')?.pid]).toEqual([false, whole.pid]);
  await whole.stop();
  // What is not even up is ended, as ever.
  const dead = { ...spec, up: () => Promise.resolve(false) };
  await expect(supervisor.start(dead)).rejects.toMatchObject({ code: 'INFRA_PROCESS_NOT_READY' });
  expect(supervisor.find('reliant')).toBeUndefined();
});

test('what somebody lets die on purpose is his to start, and is kept again afterwards', async () => {
  await supervisor.start(shell('wanted', 'exec sleep 300'));
  keeper.keep('wanted');
  const die = async (): Promise<void> => {
    const running = supervisor.find('wanted');
    process.kill(running?.pid ?? 0, 'SIGKILL');
    await running?.exited;
  };
  keeper.leave('wanted');
  await die();
  await delay(50);
  expect([supervisor.find('wanted'), told]).toEqual([undefined, []]);
  await supervisor.restart('wanted');
  keeper.resume('wanted');
  await die();
  await until(() => toldAbout('wanted runs again'));
});

test('while everything is stopped nothing is started, and what nobody asked to keep never is', async () => {
  const patient = keepRunning(supervisor, { tell: (text) => told.push(text), firstWaitMs: 200 });
  await supervisor.start(shell('last', 'sleep 0.05; exit 1'));
  patient.keep('last');
  await supervisor.start(shell('strange', 'sleep 0.05; exit 1'));
  await until(() => told.length > 0);
  await supervisor.stopAll();
  await delay(300);
  expect(told).toEqual(['last is started again in 0.2 s (attempt 1 of 5)']);
  expect([runsOf('last'), runsOf('strange')]).toEqual([1, 1]);
});
