import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { checkoutRoot } from '../../../infra/dev/state.ts';

const read = (file: string): string => readFileSync(path.join(checkoutRoot, file), 'utf8');
const service = z.looseObject({
  image: z.string(),
  command: z.array(z.string()).optional(),
  restart: z.string().optional(),
  volumes: z.array(z.string()).default([]),
  networks: z.array(z.string()).default([]),
  depends_on: z.record(z.string(), z.object({ condition: z.string() })).default({}),
  healthcheck: z.object({ test: z.array(z.string()) }).optional(),
});
const { services, volumes, networks } = z
  .looseObject({
    services: z.record(z.string(), service),
    volumes: z.record(z.string(), z.null()),
    networks: z.record(z.string(), z.null()),
  })
  .parse(parse(read('docker-compose.yml'), { merge: true }));
const { scripts } = z
  .object({ scripts: z.record(z.string(), z.string()) })
  .parse(JSON.parse(read('package.json')));

const ours = Object.entries(services).filter(([, { command }]) => command?.[0] === 'node');

test('every process of the suite has a service, and each command names its entry point', () => {
  const entries = ours.map(([name, { command = [] }]) => {
    const script = name.replace(/-(\d|standby)$/, '');
    const entry = command[3] ?? '';
    expect(`tsx ${entry}`).toBe(scripts[script]);
    expect(existsSync(path.join(checkoutRoot, entry))).toBe(true);
    expect(command).toEqual(['node', '--import', 'tsx', entry, '--config', '/config/config.json']);
    return name;
  });
  expect(entries).toEqual(['signer-1', 'signer-2', 'signer-3', 'worker', 'engine', 'engine-standby', 'api']);
});

test('what a service waits for, is in and keeps is there; all but the one that installs can be looked at', () => {
  for (const [name, { depends_on: waits, networks: joined, volumes: mounted, healthcheck }] of Object.entries(
    services,
  )) {
    for (const [other, { condition }] of Object.entries(waits)) {
      expect(Object.keys(services)).toContain(other);
      expect(condition).toBe(other === 'install' ? 'service_completed_successfully' : 'service_healthy');
    }
    for (const network of joined) expect(Object.keys(networks)).toContain(network);
    for (const [source = ''] of mounted.map((volume) => volume.split(':')))
      if (!source.startsWith('.')) expect(Object.keys(volumes)).toContain(source);
    expect(healthcheck === undefined).toBe(name === 'install');
  }
});

test('co-signers share no network with the database, and two processes share data only where they must', () => {
  const inNetwork = (network: string): string[] =>
    Object.entries(services).flatMap(([name, { networks: joined }]) =>
      joined.includes(network) ? [name] : [],
    );
  expect(inNetwork('signers')).toEqual(['signer-1', 'signer-2', 'signer-3', 'worker']);
  expect(inNetwork('core')).not.toContain('signer-1');
  const owners = new Map<string, string[]>();
  for (const [name, { volumes: mounted }] of ours)
    for (const volume of mounted)
      if (volume.endsWith(':/data')) owners.set(volume, [...(owners.get(volume) ?? []), name]);
  expect([...owners.values()]).toEqual([
    ['signer-1'],
    ['signer-2'],
    ['signer-3'],
    ['engine', 'engine-standby'],
  ]);
});

test('all that serves is started again when it crashes, but the primary, which could fence the one after it', () => {
  const restarts = Object.entries(services).map(([name, { restart }]) => [name, restart]);
  const served = restarts.filter(([name]) => name !== 'install');
  expect(served).toHaveLength(restarts.length - 1);
  for (const [name, restart] of served)
    expect([name, restart]).toEqual([name, name === 'engine' ? 'no' : 'unless-stopped']);
});
