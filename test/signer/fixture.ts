/** One co-signer of a 2-of-3 committee over a real store in a throwaway folder, and requests that pass all its checks. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bytesToHex, concatBytes, hexToBytes, randomBytes } from '@noble/hashes/utils.js';
import { HDKey } from '@scure/bip32';
import { hashJson } from '#core/canonical-json';
import { derivedId } from '#core/ids';
import type { SignRequest } from '#custody/protocol';
import { loadPolicy } from '#policies';
import type { Intent, Policy } from '#policies/contract';
import type { Check } from '../../custody/signer/checks/check.ts';
import { type CoSigner, openCoSigner } from '../../custody/signer/co-signer.ts';
import { type SignerConfig, signerConfigSchema } from '../../custody/signer/config.ts';
import { addressAtPath } from '../../custody/signer/decode/address.ts';
import type { Authorisation, CheckOutcome } from '../../custody/signer/ports.ts';
import { type DevRoster, devRoster } from '../support/dev-roster.ts';
import { encodeRlp } from '../support/rlp.ts';

export const ether = 10n ** 18n;
export const chain = 'eip155:31337';
export const asset = `${chain}/slip44:60`;
export const mainnetAsset = 'eip155:1/slip44:60';
export const wallet = derivedId('wal', 'signer tests');
export const payee = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8';
export const attacker = '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC';
export const deniedPayee = '0x23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f';
const hourMs = 3_600_000;

/** Two assets, so that an attack with another chain is not stopped by the policy. */
export const testPolicy = loadPolicy({
  policy: 'signer-tests',
  format: 1,
  version: 1,
  parent: null,
  default: 'deny',
  rules: [
    {
      id: 'A1',
      title: 'Customers are paid',
      effect: 'allow',
      when: { action: 'withdraw', initiatorRole: 'withdrawal-service' },
    },
    {
      id: 'S1',
      title: 'Sweeps',
      effect: 'allow',
      when: { action: 'sweep', initiatorRole: 'sweep', destination: 'own-hot' },
    },
    {
      id: 'R1',
      title: 'From 1 ether two people of treasury',
      effect: 'require',
      when: { action: 'withdraw', asset, amount: { gte: ether.toString() } },
      require: { approvals: { treasury: 2 } },
    },
    {
      id: 'R2',
      title: 'From 5 ether a wait',
      effect: 'require',
      when: { action: 'withdraw', asset, amount: { gte: (5n * ether).toString() } },
      require: { delay: '1h' },
    },
    { id: 'D1', title: 'Listed', effect: 'deny', when: { address: deniedPayee } },
  ],
  velocity: [
    { asset, window: '24h', max: (20n * ether).toString() },
    { asset: mainnetAsset, window: '24h', max: (20n * ether).toString() },
  ],
});

export const testRoster = devRoster({
  people: ['ana', 'bo', 'cy']
    .map((id) => ({ id, groups: ['treasury'] }))
    .concat({ id: 'di', groups: ['audit'] }),
  services: [
    { id: 'api', roles: ['withdrawal-service'] },
    { id: 'sweeper', roles: ['sweep'] },
  ],
  governance: { treasury: 2 },
});

/** One key for all tests: only its public part reaches the co-signer. */
const root = HDKey.fromMasterSeed(hexToBytes('5eed'.repeat(16)));
const publicKey = bytesToHex(root.publicKey ?? new Uint8Array());
const chainCode = bytesToHex(root.chainCode ?? new Uint8Array());
export const addressAt = (path: string): string => addressAtPath(publicKey, chainCode, path) ?? '';
export const hotAddress = addressAt('m/1/0');

export interface TransactionFields {
  readonly chainId?: bigint;
  readonly nonce?: bigint;
  readonly priorityFee?: bigint;
  readonly maxFee?: bigint;
  readonly gasLimit?: bigint;
  readonly to?: string;
  readonly value?: bigint;
  readonly data?: string;
  readonly accessList?: readonly (readonly [string, readonly string[]])[];
}
const scalar = (value: bigint): Uint8Array => {
  const hex = value === 0n ? '' : value.toString(16);
  return hexToBytes(hex.length % 2 === 0 ? hex : `0${hex}`);
};
const bytesOf = (hex: string) => hexToBytes(hex.replace(/^0x/, ''));

export function unsignedTransaction(fields: TransactionFields = {}): string {
  const list = encodeRlp([
    scalar(fields.chainId ?? 31337n),
    scalar(fields.nonce ?? 0n),
    scalar(fields.priorityFee ?? 10n ** 9n),
    scalar(fields.maxFee ?? 20n * 10n ** 9n),
    scalar(fields.gasLimit ?? 21_000n),
    bytesOf(fields.to ?? payee),
    scalar(fields.value ?? ether / 10n),
    bytesOf(fields.data ?? ''),
    (fields.accessList ?? []).map(([address, keys]) => [bytesOf(address), keys.map(bytesOf)]),
  ]);
  return bytesToHex(concatBytes(Uint8Array.of(2), list));
}

export interface Payment {
  readonly request: SignRequest;
  readonly intent: Intent;
}
export interface PaymentOptions {
  readonly id?: string;
  readonly units?: bigint;
  readonly nonce?: bigint;
  readonly approvers?: readonly string[];
  readonly intent?: Partial<Intent>;
  readonly transaction?: TransactionFields;
  readonly request?: Partial<SignRequest>;
  readonly initiator?: string;
}

export interface Fixture {
  readonly coSigner: CoSigner;
  readonly config: SignerConfig;
  readonly dataDir: string;
  readonly clock: { nowMs(): number; advance(ms: number): void };
  /** A request that passes: intent, bytes and approvals agree unless the options make them differ. */
  payment(options?: PaymentOptions): Payment;
  sweep(options?: PaymentOptions): Payment;
  check(payment: { readonly request: unknown }): Promise<CheckOutcome>;
  /** Check and commit under a fresh sign id. */
  sign(payment: { readonly request: unknown }): Promise<CheckOutcome>;
  /** Closes and opens the same store again. */
  reopen(overrides?: Partial<SignerConfig>): Promise<Fixture>;
  close(): Promise<void>;
}

export interface FixtureOptions {
  readonly checks?: readonly Check[];
  readonly policy?: Policy;
  readonly roster?: DevRoster;
  readonly config?: Partial<SignerConfig>;
}

const open = new Set<Fixture>();
const folders = new Set<string>();

/** For `afterEach`. */
export async function closeFixtures(): Promise<void> {
  for (const fixture of open) await fixture.close();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  folders.clear();
}

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'strongroom-signer-'));
  folders.add(folder);
  return folder;
}

export function writeConfig(
  folder: string,
  documents: { readonly policy: Policy; readonly roster: DevRoster },
  overrides: Partial<SignerConfig> = {},
): SignerConfig {
  const file = (name: string, content: string) => {
    writeFileSync(join(folder, name), content, { mode: 0o600 });
    return join(folder, name);
  };
  return signerConfigSchema.parse({
    party: 1,
    committeeFile: join(folder, 'committee.json'),
    dataDir: join(folder, 'data'),
    listen: { host: '127.0.0.1', port: 0 },
    keyEncryption: { file: file('kek', '11'.repeat(32)) },
    dev: true,
    policyFile: file('policy.json', JSON.stringify(documents.policy)),
    rosterFile: file('roster.json', JSON.stringify(documents.roster.roster)),
    pins: {
      policyHash: hashJson(documents.policy),
      policyVersion: documents.policy.version,
      rosterHash: documents.roster.rosterHash,
      rosterVersion: documents.roster.roster.version,
    },
    wallets: [{ id: wallet, vault: 'customers', tier: 'hot', chain }],
    ...overrides,
  });
}

let counter = 0;

function payments(
  roster: DevRoster,
  nowMs: () => number,
  current: () => CoSigner,
): Pick<Fixture, 'payment' | 'sweep'> {
  function build(
    base: Partial<Intent> & Pick<Intent, 'action' | 'source'>,
    options: PaymentOptions,
  ): Payment {
    counter += 1;
    const { policyHash, rosterHash, policy } = current().pins.current();
    const units = options.units ?? ether / 10n;
    const intent: Intent = {
      version: 1,
      id: derivedId('int', options.id ?? `payment ${counter}`),
      vault: 'customers',
      asset,
      outputs: [{ address: payee, units: units.toString() }],
      feeCap: { asset, units: (ether / 100n).toString() },
      conflictScope: wallet,
      purpose: 'a test',
      initiator: 'api',
      createdAt: nowMs(),
      notAfter: nowMs() + 24 * hourMs,
      ...base,
      ...options.intent,
    };
    const obligations = policy.rules.some((rule) => rule.id === 'R1')
      ? { rules: units >= 5n * ether ? ['R1', 'R2'] : ['R1'], approvals: { treasury: 2 } }
      : { rules: [], approvals: {} };
    const approvals = (options.approvers ?? []).map((approver) => ({
      intentId: intent.id,
      approval: roster.approve({
        intent,
        approver,
        group: 'treasury',
        pins: { policyHash, rosterHash },
        obligations,
        notAfter: intent.notAfter,
      }),
    }));
    const unsigned = unsignedTransaction({
      nonce: options.nonce ?? 0n,
      to: intent.outputs[0]?.address ?? payee,
      value: BigInt(intent.outputs[0]?.units ?? '0'),
      ...options.transaction,
    });
    const request: SignRequest = {
      wallet,
      epoch: 0,
      path: intent.source,
      chain,
      unsigned,
      purpose: 'pay',
      intents: [roster.signIntentAs(options.initiator ?? intent.initiator, intent)],
      facts: [],
      approvals,
      policyHash,
      rosterHash,
      participants: [1, 2],
      ...options.request,
    };
    return { request, intent };
  }
  return {
    payment: (options = {}) => build({ action: 'withdraw', source: 'm/1/0' }, options),
    sweep: (options = {}) =>
      build(
        {
          action: 'sweep',
          source: 'm/0/7',
          initiator: 'sweeper',
          outputs: [{ address: hotAddress, units: (options.units ?? ether).toString() }],
        },
        options,
      ),
  };
}

export function openFixture(options: FixtureOptions = {}): Fixture {
  const folder = temporaryFolder();
  const roster = options.roster ?? testRoster;
  const policy = options.policy ?? testPolicy.policy;
  const config = writeConfig(folder, { policy, roster }, options.config);
  let now = 1_790_000_000_000;
  const clock = {
    nowMs: () => now,
    advance: (ms: number) => {
      now += ms;
    },
  };
  const openWith = (used: SignerConfig, isFirst: boolean): Fixture => {
    const coSigner = openCoSigner(used, {
      clock,
      ...(options.checks === undefined ? {} : { checks: options.checks }),
    });
    if (isFirst) {
      const facts = {
        threshold: 2,
        parties: 3,
        publicKey,
        chainCode,
        transcriptHash: hashJson('transcript'),
      };
      coSigner.shares.savePending(wallet, 0, randomBytes(64), { ...facts, dev: used.dev });
      coSigner.shares.activate(wallet, 0);
    }
    let isOpen = true;
    const fixture: Fixture = {
      coSigner,
      config: used,
      dataDir: used.dataDir,
      clock,
      ...payments(roster, clock.nowMs, () => coSigner),
      check: async ({ request }) => await coSigner.gatekeeper.check(request),
      async sign({ request }) {
        const outcome = await coSigner.gatekeeper.check(request);
        return outcome.ok ? await commit(coSigner, outcome.authorisation) : outcome;
      },
      async reopen(overrides = {}) {
        await fixture.close();
        return openWith({ ...used, ...overrides }, false);
      },
      async close() {
        open.delete(fixture);
        if (isOpen) await coSigner.close();
        isOpen = false;
      },
    };
    open.add(fixture);
    return fixture;
  };
  return openWith(config, true);
}

export async function commit(
  coSigner: CoSigner,
  authorisation: Authorisation,
  signId: Uint8Array = randomBytes(32),
): Promise<CheckOutcome> {
  return await coSigner.gatekeeper.commit(authorisation, signId, derivedId('ses', bytesToHex(signId)));
}

/** `check/reason` of a refusal, or `ok`. */
export const verdict = (outcome: CheckOutcome): string =>
  outcome.ok ? 'ok' : `${outcome.refusal.check}/${outcome.refusal.reason}`;
