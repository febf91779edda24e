/**
 * A committee of co-signer processes for tests, the bench and the lying coordinator: real entry point, real files, a small
 * policy. The wallet's key comes from a key ceremony, or ready-made from the fixture.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { bytesToHex } from '@noble/hashes/utils.js';
import { newId } from '#core/ids';
import type { Clock, Random } from '#core/ports';
import type { SignOrder } from '#custody/contract';
import { type CommitteeFile, committeeSchema, type IdentityAnswer } from '#custody/protocol';
import { loadPolicy } from '#policies';
import type { Intent } from '#policies/contract';
import { openCoSigner } from '../../custody/signer/co-signer.ts';
import { loadSignerConfig } from '../../custody/signer/config.ts';
import { openIdentity } from '../../custody/signer/identity.ts';
import { openSealer } from '../../custody/signer/sealing.ts';
import { openSignerStore } from '../../custody/signer/store.ts';
import { nodeProcess } from '../../infra/dev/node-process.ts';
import { findFreePorts } from '../../infra/dev/ports.ts';
import {
  answersOk,
  createSupervisor,
  type ProcessExit,
  type RunningProcess,
} from '../../infra/dev/processes.ts';
import { type DevRoster, devRoster } from './dev-roster.ts';
import { fixtureShares } from './mpc-shares.ts';
import { encodeRlp } from './rlp.ts';

export const clock: Clock = { nowMs: () => Date.now() };
export const random: Random = { bytes: (length) => randomBytes(length) };
export const chain = 'eip155:31337';
export const ether = `${chain}/slip44:60`;
export const hotPath = 'm/1/0';
const partyCount = 3;
const threshold = 2;
const oneEther = 10n ** 18n;

const policyDocument = {
  policy: 'test',
  format: 1,
  version: 1,
  parent: null,
  default: 'deny',
  rules: [
    { id: 'A1', title: 'withdrawals', effect: 'allow', when: { action: 'withdraw', asset: ether } },
    {
      id: 'S1',
      title: 'sweeps to the own hot address',
      effect: 'allow',
      when: { action: 'sweep', asset: ether, destination: 'own-hot' },
    },
    {
      id: 'R1',
      title: 'large ones need two',
      effect: 'require',
      when: { asset: ether, amount: { gte: oneEther.toString() } },
      require: { approvals: { treasury: 2 } },
    },
  ],
  velocity: [{ asset: ether, window: '24h', max: (1_000_000n * oneEther).toString() }],
};

export interface OrderOptions {
  readonly to?: string;
  readonly units?: bigint;
  readonly path?: string;
  readonly intent?: Partial<Intent>;
}
export interface CoSigners {
  readonly folder: string;
  readonly committee: CommitteeFile;
  readonly wallet: string;
  readonly roster: DevRoster;
  readonly pins: { readonly policyHash: string; readonly rosterHash: string };
  configFile(party: number): string;
  start(party: number): Promise<RunningProcess>;
  startAll(): Promise<void>;
  kill(party: number): Promise<ProcessExit>;
  stopAll(): Promise<void>;
  /** A small transfer that needs no approval, with its own intent and nonce. */
  order(options?: OrderOptions): SignOrder;
}

function bigBytes(value: bigint): Uint8Array {
  if (value === 0n) return new Uint8Array();
  const hex = value.toString(16);
  return Uint8Array.from(Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex'));
}

/** `02 || rlp([chainId, nonce, tip, fee, gas, to, value, data, accessList])`, hex. */
export function unsignedTransfer(nonce: bigint, to: string, units: bigint): string {
  const fields = [31337n, nonce, 10n ** 9n, 20n * 10n ** 9n, 21_000n].map(bigBytes);
  const body = encodeRlp([
    ...fields,
    Uint8Array.from(Buffer.from(to.slice(2), 'hex')),
    bigBytes(units),
    new Uint8Array(),
    [],
  ]);
  return `02${bytesToHex(body)}`;
}

const recipient = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8';

function orderMaker(wallet: string, roster: DevRoster, pins: CoSigners['pins']) {
  let nonce = -1n;
  return (options: OrderOptions = {}): SignOrder => {
    nonce += 1n;
    const { to = recipient, units = 1000n + nonce, path: source = hotPath } = options;
    const now = clock.nowMs();
    const intent: Intent = {
      version: 1,
      id: newId('int', clock, random),
      action: 'withdraw',
      vault: 'customers',
      asset: ether,
      outputs: [{ address: to, units: units.toString() }],
      feeCap: { asset: ether, units: (10n ** 16n).toString() },
      conflictScope: wallet as Intent['conflictScope'],
      source,
      purpose: 'test',
      initiator: 'api',
      createdAt: now,
      notAfter: now + 3_600_000,
      ...options.intent,
    };
    return {
      wallet,
      epoch: 0,
      path: source,
      chain,
      unsigned: unsignedTransfer(nonce, to, units),
      purpose: 'pay',
      intents: [roster.signIntentAs('api', intent)],
      facts: [],
      approvals: [],
      ...pins,
    };
  };
}

/** Puts the fixture's share into the co-signer's own store, as an activated one. */
async function installShare(configFile: string, wallet: string, party: number): Promise<void> {
  const fixture = fixtureShares();
  const share = fixture.shares[party - 1];
  if (share === undefined) throw new Error(`the fixture has no share ${party}`);
  const coSigner = openCoSigner(loadSignerConfig(configFile), { clock });
  coSigner.shares.savePending(wallet, 0, share, {
    threshold,
    parties: partyCount,
    publicKey: bytesToHex(fixture.publicKey),
    chainCode: bytesToHex(fixture.chainCode),
    transcriptHash: `sha256:${'0'.repeat(64)}`,
    dev: true,
  });
  coSigner.shares.activate(wallet, 0);
  await coSigner.close();
}

/** The public keys as `--print-identity` shows them, made in this process to save three starts. */
async function makeIdentity(configFile: string): Promise<IdentityAnswer> {
  const config = loadSignerConfig(configFile);
  const store = openSignerStore(config.dataDir);
  const file = path.join(config.dataDir, 'identity.json');
  const { party, signingKey, encryptionKey } = openIdentity({
    file,
    party: config.party,
    sealer: openSealer(config, store),
  });
  await store.close();
  return { party, signingKey, encryptionKey };
}

function writeJson(file: string, value: unknown): void {
  writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
}

/** Files and keys of three co-signers; none is started. */
export async function prepareCoSigners(options: {
  readonly folder: string;
  /** `ceremony`: no share yet. */
  readonly shares: 'fixture' | 'ceremony';
  /** Of the ledger whose heads they record, hex. */
  readonly ledgerPublicKey?: string;
}): Promise<CoSigners> {
  const folder = path.join(options.folder, `co-signers-${randomUUID()}`);
  mkdirSync(folder, { recursive: true });
  const wallet = newId('wal', clock, random);
  const roster = devRoster({
    people: ['ana', 'ben', 'cleo'].map((id) => ({ id, groups: ['treasury'] })),
    services: [{ id: 'api', roles: ['withdrawal-service', 'sweep'] }],
  });
  const { policy, policyHash } = loadPolicy(policyDocument);
  const pins = { policyHash, rosterHash: roster.rosterHash };
  const firstPort = await findFreePorts(partyCount);
  const parties = Array.from({ length: partyCount }, (_, at) => at + 1);
  const configFile = (party: number): string => path.join(folder, `signer-${party}.json`);
  writeJson(path.join(folder, 'policy.json'), policy);
  writeJson(path.join(folder, 'roster.json'), roster.roster);
  for (const party of parties) {
    writeFileSync(path.join(folder, `kek-${party}`), randomBytes(32).toString('hex'), { mode: 0o600 });
    writeJson(configFile(party), {
      party,
      committeeFile: 'committee.json',
      dataDir: `data-${party}`,
      listen: { host: '127.0.0.1', port: firstPort + party - 1 },
      keyEncryption: { file: `kek-${party}` },
      dev: true,
      policyFile: 'policy.json',
      rosterFile: 'roster.json',
      pins: { ...pins, policyVersion: 1, rosterVersion: 1 },
      wallets: [{ id: wallet, vault: 'customers', tier: 'hot', chain }],
      ...(options.ledgerPublicKey === undefined ? {} : { ledgerPublicKey: options.ledgerPublicKey }),
    });
  }
  const identities: IdentityAnswer[] = [];
  for (const party of parties) identities.push(await makeIdentity(configFile(party)));
  if (options.shares === 'fixture')
    for (const party of parties) await installShare(configFile(party), wallet, party);
  const committee = committeeSchema.parse({
    threshold,
    members: identities.map((identity) => ({
      ...identity,
      url: `http://127.0.0.1:${firstPort + identity.party - 1}`,
    })),
  });
  writeJson(path.join(folder, 'committee.json'), committee);

  const supervisor = createSupervisor();
  const start = async (party: number): Promise<RunningProcess> =>
    await supervisor.start(
      nodeProcess({
        name: `signer-${party}`,
        entry: 'custody/signer/main.ts',
        args: ['--dev', '--config', configFile(party)],
        logFile: path.join(folder, `signer-${party}.log`),
        ready: async () => await answersOk(`http://127.0.0.1:${firstPort + party - 1}/health`),
        readyTimeoutMs: 30_000,
      }),
    );
  return {
    folder,
    committee,
    wallet,
    roster,
    pins,
    configFile,
    start,
    startAll: async () => {
      await Promise.all(parties.map(start));
    },
    kill: async (party) => {
      const child = supervisor.find(`signer-${party}`);
      if (child === undefined) throw new Error(`signer-${party} does not run`);
      return await child.kill('SIGKILL');
    },
    stopAll: supervisor.stopAll,
    order: orderMaker(wallet, roster, pins),
  };
}
