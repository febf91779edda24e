/** The module file, its sources and its host: provenance, imports, randomness (rail 7), memory, traps, rail 10. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { createDkls23Engine, loadModule } from '#mpc';
import type { ThresholdEcdsaEngine } from '#mpc/contract';
import { Dkls23Engine } from '../../custody/multi-party-ecdsa-wasm/engine.ts';
import {
  crateFolder,
  readProvenance,
  sha256Hex,
  sourceHashes,
  sourcesSha256,
} from '../../custody/multi-party-ecdsa-wasm/provenance.ts';
import { testedRandom } from '../../custody/multi-party-ecdsa-wasm/randomness.ts';
import { drive } from '../support/mpc-drive.ts';
import { BareParty, captureInstance, moduleBytes, systemRandom } from '../support/mpc-module.ts';
import { fixtureShares } from '../support/mpc-shares.ts';
import { withTrapIn } from '../support/wasm-patch.ts';

const { shares } = fixtureShares();
const [share1 = new Uint8Array(), share2 = new Uint8Array()] = shares;
let engine: ThresholdEcdsaEngine | undefined;
afterEach(async () => {
  await engine?.close();
  engine = undefined;
});

describe('provenance', () => {
  const provenance = readProvenance();

  test('the committed sources are the ones the module was built from', () => {
    const sources = sourceHashes();
    expect(sources).toEqual(provenance.sources);
    expect(sourcesSha256(sources)).toBe(provenance.sourcesSha256);
    expect(sources.map(({ file }) => file)).toEqual(
      expect.arrayContaining(['Cargo.lock', 'Cargo.toml', 'build.sh', 'src/abi.rs', 'src/guard.rs']),
    );
  });

  test('the committed module is the one of the provenance', () => {
    expect(sha256Hex(moduleBytes)).toBe(provenance.moduleSha256);
  });

  test('neither names a folder of the machine that built it', () => {
    const home = /\/(?:home|root|Users|work|tmp|var)\//;
    expect(Buffer.from(moduleBytes).toString('latin1')).not.toMatch(home);
    expect(JSON.stringify(provenance)).not.toMatch(home);
  });
});

describe('starting', () => {
  test('outside development an unaudited engine needs to be accepted', async () => {
    const refused = createDkls23Engine({ acceptUnaudited: false, dev: false });
    await expect(refused).rejects.toMatchObject({ code: 'MPC_UNAUDITED', kind: 'forbidden' });
    engine = await createDkls23Engine({ threads: 1, acceptUnaudited: true, dev: false });
    expect(engine).toMatchObject({ name: 'dkls23-core-0.6.2', audited: false });
  });

  test('a module with one changed byte is refused', async () => {
    const changed = moduleBytes.slice();
    changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
    const { moduleSha256 } = readProvenance();
    await expect(loadModule(changed, moduleSha256)).rejects.toMatchObject({ code: 'MPC_MODULE' });
    await expect(loadModule(moduleBytes, moduleSha256)).resolves.toBeInstanceOf(WebAssembly.Module);
  });

  test('a module that imports anything else is refused', async () => {
    // (module (import "wasi_snapshot_preview1" "fd_read" (func)))
    const name = (text: string) => [text.length, ...Buffer.from(text)];
    const entry = [1, ...name('wasi_snapshot_preview1'), ...name('fd_read'), 0, 0];
    const bytes = Uint8Array.of(
      0,
      0x61,
      0x73,
      0x6d,
      1,
      0,
      0,
      0,
      1,
      4,
      1,
      0x60,
      0,
      0,
      2,
      entry.length,
      ...entry,
    );
    const refused = loadModule(bytes, sha256Hex(bytes));
    await expect(refused).rejects.toMatchObject({
      code: 'MPC_MODULE',
      details: { imports: ['wasi_snapshot_preview1.fd_read'] },
    });
  });

  test.each([0, -1, 1.5, 65])('%d threads are refused', async (threads) => {
    const refused = createDkls23Engine({ threads, acceptUnaudited: false, dev: true });
    await expect(refused).rejects.toMatchObject({ code: 'MPC_INPUT' });
  });

  test('a closed engine opens nothing', async () => {
    const closed = await createDkls23Engine({ threads: 1, acceptUnaudited: false, dev: true });
    await closed.close();
    await expect(closed.shareInfo({ share: share1, path: 'm' })).rejects.toMatchObject({ code: 'MPC_BUSY' });
  });
});

describe('rail 7: randomness', () => {
  const once = randomBytes(65_536);
  test.each<[string, (target: Uint8Array) => void]>([
    ['zeros', (target) => target.fill(0)],
    ['nothing written', () => undefined],
    ['one byte', (target) => target.fill(0xa5)],
    ['the same bytes each time', (target) => target.set(once.subarray(0, target.length))],
    ['few values', (target) => target.set(randomBytes(target.length).map((byte) => byte % 16))],
    ['mostly zero bits', (target) => target.set(randomBytes(target.length).map((byte) => byte & 0x11))],
  ])('a source of %s is refused', (_name, source) => {
    expect(() => captureInstance(source)).toThrowError(
      expect.objectContaining({ name: 'RandomnessFailure' }),
    );
  });

  test('a good source passes many times', () => {
    const random = testedRandom(systemRandom);
    for (let round = 0; round < 1000; round += 1) random.selfTest();
  });

  test('a source that repeats itself after a snapshot is noticed by the next instance', () => {
    const recorded = Array.from({ length: 2 }, () => randomBytes(64));
    let draws = 0;
    const random = testedRandom((target) => {
      target.set(recorded[draws % 2] ?? []);
      draws += 1;
    });
    random.selfTest();
    expect(() => random.selfTest()).toThrowError(/repeated itself/);
  });

  test('a source that fails in the middle ends the session, not the process', () => {
    let broken = false;
    const { instance } = captureInstance((target) => (broken ? target.fill(0) : systemRandom(target)));
    broken = true;
    const outcome = instance.call('ecdsa_dkg_new', [2, 3, 1, randomBytes(32)]);
    expect(outcome).toMatchObject({ ok: false, failure: { kind: 'randomness' } });
    expect(instance.alive).toBe(false);
  });
});

describe('rail 7: memory', () => {
  test('is all zero after the end', () => {
    const args = [share1, Buffer.from('m'), randomBytes(32), randomBytes(32), Uint8Array.of(1, 2)];
    const party = new BareParty(1, 'ecdsa_sign_new', args);
    expect(Buffer.from(party.memory.buffer).some((byte) => byte !== 0)).toBe(true);
    party.instance.destroy();
    expect(Buffer.from(party.memory.buffer).every((byte) => byte === 0)).toBe(true);
  });

  test("the caller's share is neither changed nor detached", async () => {
    engine = await createDkls23Engine({ threads: 1, acceptUnaudited: false, dev: true });
    const share = share1.slice();
    await engine.shareInfo({ share, path: 'm' });
    expect(Buffer.compare(share, share1)).toBe(0);
  });
});

describe('a trap', () => {
  test('from a pointer outside memory kills the instance and wipes it', () => {
    const args = [share1, Buffer.from('m'), randomBytes(32), randomBytes(32), Uint8Array.of(1, 2)];
    const party = new BareParty(1, 'ecdsa_sign_new', args);
    const outcome = party.instance.call('mpc_session_step', [party.handle, 0x7fff_fff0, 64]);
    expect(outcome).toMatchObject({ ok: false, failure: { kind: 'trap' } });
    expect(Buffer.from(party.memory.buffer).every((byte) => byte === 0)).toBe(true);
    expect(party.step([])).toMatchObject({ ok: false, failure: { kind: 'trap' } });
  });

  test('ends one call; a session in the same thread finishes and the engine goes on', async () => {
    const module = new WebAssembly.Module(withTrapIn(moduleBytes, 'ecdsa_share_info'));
    const threads = 1;
    const live = await Dkls23Engine.start(module, threads);
    engine = live;
    const sign = async () => {
      const common = { path: 'm/0/3', digest: randomBytes(32), signId: randomBytes(32), signers: [1, 2] };
      return [
        [1, await live.newSigning({ ...common, share: share1 })],
        [2, await live.newSigning({ ...common, share: share2 })],
      ] as const;
    };
    const open = await sign();
    for (let round = 0; round < 3; round += 1) {
      const trapped = live.shareInfo({ share: share1, path: 'm' });
      await expect(trapped).rejects.toMatchObject({ code: 'MPC_TRAP', retryable: true });
    }
    expect(await drive(open)).toHaveLength(2);
    expect(await drive(await sign())).toHaveLength(2);
  });

  test('closing the engine ends what is in flight', async () => {
    const live = await createDkls23Engine({ threads: 1, acceptUnaudited: false, dev: true });
    const committee = { threshold: 2, parties: 3 };
    const session = await live.newDkg({ committee, party: 1, sessionId: randomBytes(32) });
    const step = session.step([]);
    const closed = live.close();
    await expect(step).rejects.toMatchObject({
      code: expect.stringMatching(/^MPC_(TRAP|ABORTED)$/) as unknown,
    });
    await closed;
  });
});

describe('rail 10: how it is built', () => {
  const read = (file: string) => readFileSync(`${crateFolder}/${file}`, 'utf8');
  const code = sourceHashes()
    .filter(({ file }) => file.endsWith('.rs'))
    .map(({ file }) => read(file).replaceAll(/\/\/.*$/gm, ''))
    .join('\n');

  test('integer overflow traps, and a panic does not unwind', () => {
    const [, profile = ''] = read('Cargo.toml').split('[profile.release]');
    expect(profile).toMatch(/^overflow-checks = true$/m);
    expect(profile).toMatch(/^panic = "abort"$/m);
  });

  test('every dependency is pinned, and the engine to 0.6.2', () => {
    const [, rest = ''] = read('Cargo.toml').split('[dependencies]\n');
    const [dependencies = ''] = rest.split('\n[');
    const lines = dependencies.split('\n').filter((line) => /^\w/.test(line));
    expect(lines.length).toBeGreaterThan(5);
    for (const line of lines) expect(line).toMatch(/"=\d+\.\d+\.\d+"/);
    expect(dependencies).toContain('dkls23-core = { version = "=0.6.2"');
  });

  test('no trusted dealer, no printable secret, no printing, no unsafe code but the ABI', () => {
    expect(code).not.toMatch(/re_key|insecure|\bDebug\b|\{:\?\}|println!|dbg!/);
    const unsafe = sourceHashes().filter(
      ({ file }) => file.endsWith('.rs') && /allow\(unsafe_code\)/.test(read(file)),
    );
    expect(unsafe.map(({ file }) => file)).toEqual(['src/abi.rs']);
    expect(read('src/lib.rs')).toContain('#![deny(unsafe_code)]');
  });
});
