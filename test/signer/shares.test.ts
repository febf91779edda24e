/** Shares at rest, and the durable ids, bans and abort counts. */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomBytes } from '@noble/hashes/utils.js';
import { afterEach, describe, expect, it } from 'vitest';
import { hashJson } from '#core/canonical-json';
import { openDecisionLog } from '../../custody/signer/decision-log.ts';
import type { ShareFacts } from '../../custody/signer/ports.ts';
import { openSealer } from '../../custody/signer/sealing.ts';
import { abortsPerHourMax, openSessionGuard, openShareStore } from '../../custody/signer/shares.ts';
import { openSignerStore, type SignerStore } from '../../custody/signer/store.ts';
import {
  closeFixtures,
  openFixture,
  temporaryFolder,
  testPolicy,
  testRoster,
  wallet,
  writeConfig,
} from './fixture.ts';

const stores: SignerStore[] = [];
afterEach(async () => {
  for (const store of stores.splice(0)) await store.close();
  await closeFixtures();
});

const facts: ShareFacts = {
  threshold: 2,
  parties: 3,
  publicKey: '02'.padEnd(66, '1'),
  chainCode: 'ab'.repeat(32),
  transcriptHash: hashJson('transcript'),
  dev: true,
};
const clock = { nowMs: () => 1000 };

function open(folder: string, overrides: Parameters<typeof writeConfig>[2] = {}) {
  const config = writeConfig(folder, { policy: testPolicy.policy, roster: testRoster }, overrides);
  const store = openSignerStore(config.dataDir);
  stores.push(store);
  const sealer = openSealer(config, store);
  const log = openDecisionLog(store, clock);
  const { party, dev } = config;
  const shares = openShareStore({ store, sealer, log, party, dev });
  return { config, store, sealer, log, shares, guard: openSessionGuard(store, log, clock) };
}
const corrupt: unknown = expect.objectContaining({ code: 'CUSTODY_STORE_CORRUPT' });
const unknown: unknown = expect.objectContaining({ code: 'CUSTODY_WALLET_UNKNOWN' });
interface Stored {
  state: string;
  facts: ShareFacts;
}

describe('shares at rest', () => {
  it('open only in the state they are in; after activation the test door is closed', () => {
    const { shares } = open(temporaryFolder());
    const share = randomBytes(5000);
    shares.savePending(wallet, 0, share, facts);
    expect(() => shares.open(wallet, 0)).toThrow(unknown);
    expect(shares.activeEpoch(wallet)).toBeUndefined();
    expect(shares.openPending(wallet, 0)).toEqual(share);
    shares.activate(wallet, 0);
    expect(shares.open(wallet, 0)).toEqual(share);
    expect(shares.activeEpoch(wallet)).toBe(0);
    expect(() => shares.openPending(wallet, 0)).toThrow(unknown);
    expect(() => shares.savePending(wallet, 0, share, facts)).toThrow(corrupt);
    expect(() => shares.activate(wallet, 0)).toThrow(corrupt);
    expect(() => shares.open(wallet, 1)).toThrow(unknown);
  });

  it('retire with the next epoch', () => {
    const { shares } = open(temporaryFolder());
    for (const epoch of [0, 1]) {
      shares.savePending(wallet, epoch, randomBytes(10), facts);
      shares.activate(wallet, epoch);
    }
    expect(shares.activeEpoch(wallet)).toBe(1);
    expect(() => shares.open(wallet, 0)).toThrow(unknown);
  });

  it('are not on the disk in the clear, and do not open in the place of another', () => {
    const { shares, store, sealer } = open(temporaryFolder());
    const share = Buffer.from('a share that must not be readable on the disk');
    shares.savePending(wallet, 0, share, facts);
    const table = store.table<{ sealed: { nonce: string; data: string } }>('shares');
    const stored = table.get([wallet, 0]);
    if (stored === undefined) throw new Error('not stored');
    expect(JSON.stringify(stored)).not.toContain(share.toString('base64').slice(0, 20));
    const right = { wallet, party: 1, epoch: 0, curve: 'secp256k1' };
    expect(Buffer.from(sealer.open(stored.sealed, right))).toEqual(share);
    for (const wrong of [{ party: 2 }, { epoch: 1 }, { curve: 'ed25519' }, { wallet: `${wallet}0` }])
      expect(() => sealer.open(stored.sealed, { ...right, ...wrong })).toThrow(corrupt);
    // The record of epoch 0 copied to epoch 1 of the same wallet.
    store.transact(() => table.put([wallet, 1], stored));
    expect(() => shares.openPending(wallet, 1)).toThrow(corrupt);
  });

  it('are refused after any change: a flipped bit, other facts, a removed development mark', () => {
    const { shares, store } = open(temporaryFolder());
    shares.savePending(wallet, 0, randomBytes(100), facts);
    const table = store.table<Stored & { sealed: { nonce: string; data: string } }>('shares');
    const stored = table.get([wallet, 0]);
    if (stored === undefined) throw new Error('not stored');
    const flipped = Buffer.from(stored.sealed.data, 'base64');
    flipped[50] = (flipped[50] ?? 0) ^ 1;
    const put = (value: typeof stored) => store.transact(() => table.put([wallet, 0], value));
    put({ ...stored, sealed: { ...stored.sealed, data: flipped.toString('base64') } });
    expect(() => shares.openPending(wallet, 0)).toThrow(corrupt);
    put({ ...stored, facts: { ...facts, dev: false } });
    expect(() => shares.facts(wallet, 0)).toThrow(corrupt);
    put({ ...stored, facts: { ...facts, publicKey: '03'.padEnd(66, '1') } });
    expect(() => shares.facts(wallet, 0)).toThrow(corrupt);
    put(stored);
    expect(shares.facts(wallet, 0)).toEqual(facts);
  });

  it('keep their mark: development and production never mix', () => {
    const development = open(temporaryFolder());
    expect(() =>
      development.shares.savePending(wallet, 0, randomBytes(10), { ...facts, dev: false }),
    ).toThrow(expect.objectContaining({ code: 'CUSTODY_CONFIG_INVALID' }));
    development.shares.savePending(wallet, 0, randomBytes(10), facts);
    development.shares.activate(wallet, 0);
    const production = openShareStore({ ...development, party: 1, dev: false });
    expect(() => production.open(wallet, 0)).toThrow(/made by a co-signer started with --dev/);
  });
});

describe('the key-encryption key', () => {
  it('is checked at the start', async () => {
    const folder = temporaryFolder();
    const { store, config } = open(folder);
    await stores.pop()?.close();
    const file = join(folder, 'other-kek');
    writeFileSync(file, '22'.repeat(32), { mode: 0o600 });
    const reopened = openSignerStore(config.dataDir);
    stores.push(reopened);
    expect(store).not.toBe(reopened);
    expect(() => openSealer({ ...config, keyEncryption: { file } }, reopened)).toThrow(corrupt);
    expect(() => openSealer({ ...config, keyEncryption: { file: join(folder, 'none') } }, reopened)).toThrow(
      /none/,
    );
  });

  it('may come from a passphrase, slowly; a short one, a short key or a readable file is refused', () => {
    const folder = temporaryFolder();
    const file = (name: string, text: string, mode = 0o600) => {
      writeFileSync(join(folder, name), text);
      chmodSync(join(folder, name), mode);
      return join(folder, name);
    };
    const { config, store, sealer } = open(folder, {
      keyEncryption: { passphraseFile: file('passphrase', 'correct horse battery staple\n') },
    });
    const sealed = sealer.seal(randomBytes(8), 'x');
    expect(openSealer(config, store).open(sealed, 'x')).toHaveLength(8);
    const attempt =
      (keyEncryption: typeof config.keyEncryption, dev = true) =>
      () =>
        openSealer({ ...config, dev, keyEncryption }, store);
    expect(attempt({ passphraseFile: file('wrong', 'correct horse battery stapler') })).toThrow(corrupt);
    expect(attempt({ passphraseFile: file('short', 'hunter2') })).toThrow(/under 12/);
    expect(attempt({ file: file('shortkey', '11'.repeat(16)) })).toThrow(/32 bytes/);
    expect(attempt({ file: file('open', '11'.repeat(32), 0o644) }, false)).toThrow(/chmod 600/);
    expect(attempt({ plain: true }, false)).toThrow(/development only/);
  });
});

describe('one-time ids, bans and aborts', () => {
  it('survive a restart', async () => {
    const fixture = openFixture();
    const { guard } = fixture.coSigner;
    expect(guard.consume('id')).toBe(true);
    expect(guard.consume('id')).toBe(false);
    expect(guard.isBanned(2)).toBe(false);
    guard.ban(2, 'proved a cheat');
    guard.ban(2, 'again');
    const again = (await fixture.reopen()).coSigner;
    expect(again.guard.consume('id')).toBe(false);
    expect(again.guard.isBanned(2)).toBe(true);
    expect(again.guard.isBanned(3)).toBe(false);
    const bans = [...again.decisionLog.records()].filter(({ kind }) => kind === 'banned');
    expect(bans.map(({ body }) => body)).toEqual([{ party: 2, reason: 'proved a cheat' }]);
  });

  it('aborts are counted per party and hour, over a restart', async () => {
    const fixture = openFixture();
    for (let i = 0; i < abortsPerHourMax; i++) fixture.coSigner.guard.recordAbort(2);
    expect(fixture.coSigner.guard.isPaused(2)).toBe(false);
    fixture.coSigner.guard.recordAbort(2);
    const { guard } = (await fixture.reopen()).coSigner;
    expect([guard.isPaused(2), guard.isPaused(3)]).toEqual([true, false]);
    fixture.clock.advance(3_600_001);
    expect(guard.isPaused(2)).toBe(false);
    guard.recordAbort(2);
    expect(guard.isPaused(2)).toBe(false);
  });
});
