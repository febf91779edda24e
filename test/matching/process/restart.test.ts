/** The engine under the supervisor of `npm start`: a crash is a pause, a takeover is not undone. */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, expect, inject, test } from 'vitest';
import { connectLink } from '#matching/link';
import { createSupervisor } from '../../../infra/dev/processes.ts';
import { keepRunning } from '../../../infra/dev/restarts.ts';
import { exitForPerson } from '../../../matching/process/exit-codes.ts';
import { databaseForThisFile } from '../../support/database.ts';
import { config } from '../settlement/fixture.ts';
import { healthOf, prepareEngine, until } from './fixture.ts';

const folder = path.join(inject('runFolder'), 'engine-restart');
const supervisor = createSupervisor();
const told: string[] = [];
const keeper = keepRunning(supervisor, { tell: (text) => told.push(text), firstWaitMs: 20 });
afterAll(async () => {
  await supervisor.stopAll();
  rmSync(folder, { recursive: true, force: true });
});

test('killed it is back with what it had acknowledged; fenced it stays down and says who is to do what', {
  timeout: 120_000,
}, async () => {
  const setup = { supervisor, folder, databaseUrl: await databaseForThisFile() };
  const primary = await prepareEngine(setup, 'engine-1');
  const { pid } = await primary.start();
  keeper.keep('engine-1', exitForPerson);
  const link = connectLink({ url: `ws://127.0.0.1:${primary.linkPort}`, token: primary.token, config });
  try {
    await link.ready();
    await link.submit({ kind: 'open-account', account: 1 });
    process.kill(pid, 'SIGKILL');
    await until(
      () => Promise.resolve(link.state()),
      ({ connected, epoch }) => connected && epoch === 2,
    );
    expect(link.view().seq).toBeGreaterThanOrEqual(1);
    const [again] = await link.submit({ kind: 'open-account', account: 1 });
    expect(again).toMatchObject({ kind: 'rejected', reason: 'account-exists' });
    await until(
      () => Promise.resolve(told),
      (texts) => texts.includes('engine-1 runs again'),
    );
  } finally {
    await link.close();
  }

  const standby = await prepareEngine(setup, 'engine-2', 'standby');
  await standby.start();
  const answer = await fetch(standby.takeOverUrl, {
    method: 'POST',
    headers: { authorization: `Bearer ${standby.token}` },
  });
  expect(answer.status).toBe(200);
  const last = await until(
    () => Promise.resolve(told.at(-1) ?? ''),
    (text) => text.includes('is not started again'),
  );
  expect(last).toMatch(/^engine-1 .* a person must decide first.*MATCHING_FENCED.*as a standby\.$/);
  expect(await healthOf(standby)).toMatchObject({
    role: 'primary',
    parts: { journal: { ok: true, epoch: 3 } },
  });
});
