import { expect, it } from 'vitest';
import { type Session, SessionRegistry, sessionsMax } from '../../custody/signer/session-registry.ts';

function registryOf() {
  const ended: string[] = [];
  const registry = new SessionRegistry<Session>({ nowMs: () => 0 });
  const add = (id: string, started: boolean) => {
    registry.add({ id, idleMsMax: 1, isStarted: () => started, dispose: () => ended.push(id) });
  };
  return { registry, ended, add };
}

it('a session that was opened and never started makes room for the next one', () => {
  const { registry, ended, add } = registryOf();
  // A quorum of which one refuses leaves the others with an open session; many such orders must not block them.
  for (let at = 0; at < sessionsMax; at += 1) add(`open-${at}`, at < 2);
  add('next', false);
  expect(ended).toEqual(['open-2']);
  expect(registry.size).toBe(sessionsMax);
  expect(() => registry.assertMayOpen('open-2')).toThrow(/used before/);
});

it('sessions that have started are never pushed out', () => {
  const { registry, ended, add } = registryOf();
  for (let at = 0; at < sessionsMax; at += 1) add(`started-${at}`, true);
  expect(() => add('next', false)).toThrow(/sessions are open/);
  expect([ended, registry.size]).toEqual([[], sessionsMax]);
});

it('a request that is under way keeps its session', async () => {
  const { registry, ended, add } = registryOf();
  for (let at = 0; at < sessionsMax; at += 1) add(`open-${at}`, false);
  await registry.use('open-0', async () => {
    add('next', false);
    await Promise.resolve();
  });
  expect(ended).toEqual(['open-1']);
});
