/**
 * The documents and keys a development suite needs, made at the first start and kept: key-encryption keys of the
 * co-signers, service keys, people with software passkeys, roster, policy, bearer tokens, the ledger's key, the wallet's
 * id. Everything here is marked `dev`; a co-signer not started with --dev refuses the roster.
 */
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ed25519 } from '@noble/curves/ed25519.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import { canonicalJson } from '#core/canonical-json';
import { newId } from '#core/ids';
import { parseEngineConfig } from '#matching/contract';
import { loadPolicy, loadRoster, policyHash, rosterHash } from '#policies';
import type { Roster } from '#policies/contract';
import { parsePolicy } from '#policies/yaml';
import { makeHeadKey, openHeadKey } from '../../ledger/head-key.ts';
import { anvilChainId } from './anvil.ts';
import { SoftwarePasskey, softwarePasskeyFileSchema } from './software-passkey.ts';
import { checkoutRoot } from './state.ts';

/** WebAuthn relying party of the development suite. */
const relyingParty = { id: 'localhost', origin: 'https://localhost:8443' } as const;
/** Two may be away and a quorum of two in treasury still exists. */
const people = [
  { id: 'ada', name: 'Ada (treasury)', groups: ['treasury'] },
  { id: 'ben', name: 'Ben (treasury)', groups: ['treasury'] },
  { id: 'cleo', name: 'Cleo (treasury)', groups: ['treasury'] },
  { id: 'dora', name: 'Dora (compliance)', groups: ['compliance'] },
  { id: 'emil', name: 'Emil (compliance)', groups: ['compliance'] },
  { id: 'fay', name: 'Fay (compliance)', groups: ['compliance'] },
] as const;
const services = [
  { id: 'withdrawals-api', role: 'withdrawal-service' },
  { id: 'sweeper', role: 'sweep' },
] as const;
export type ServiceId = (typeof services)[number]['id'];
const tokenRoles = ['trading', 'treasury', 'compliance', 'auditor'] as const;
export type TokenRole = (typeof tokenRoles)[number];
/** Id of the one key each service has here; key ids are unique over a roster. */
export const serviceKeyIdOf = (service: ServiceId): string => `${service}-1`;
export const hotVault = 'hot-ethereum';
/** Dollars that no chain has: they are on our books only. In millionths, as the large stablecoins count theirs. */
export const booksOnlyUsd = { asset: 'ledger:usd', decimals: 6 } as const;

export interface SuiteFiles {
  readonly walletId: string;
  readonly policyFile: string;
  readonly rosterFile: string;
  readonly tokensFile: string;
  readonly committeeFile: string;
  /** Ed25519 as PKCS#8 PEM: the ledger signs its heads with it. */
  readonly ledgerKeyFile: string;
  /** Of that key, 32 bytes hex: every co-signer pins it. */
  readonly ledgerPublicKey: string;
  readonly pins: {
    readonly policyHash: string;
    readonly policyVersion: number;
    readonly rosterHash: string;
    readonly rosterVersion: number;
  };
  readonly tokenFileOf: (role: TokenRole) => string;
  /** Hex of an Ed25519 seed, 32 bytes. */
  readonly serviceKeyFileOf: (service: ServiceId) => string;
  readonly passkeyFileOf: (person: string) => string;
  readonly keyEncryptionFileOf: (party: number) => string;
  /** Assets, markets, fees and limits of the matching engine; its journal is bound to it. */
  readonly engineConfigFile: string;
  /** Who has it may send commands to the engine. */
  readonly engineLinkTokenFile: string;
}

const secretMode = 0o600;

/** Writes only what is not there: a restart must find the same keys. */
function keep(file: string, make: () => string, mode = secretMode): string {
  if (!existsSync(file)) {
    writeFileSync(file, make(), { mode });
    chmodSync(file, mode);
  }
  return readFileSync(file, 'utf8');
}

function makeRoster(folder: string): Roster {
  return loadRoster({
    format: 1,
    version: 1,
    parent: null,
    dev: true,
    relyingParty: { id: relyingParty.id, origins: [relyingParty.origin] },
    people: people.map((person) => {
      const text = keep(path.join(folder, 'passkeys', `${person.id}.json`), () =>
        JSON.stringify(
          new SoftwarePasskey({ rpId: relyingParty.id, origin: relyingParty.origin }).toFile(person.id),
        ),
      );
      const passkey = SoftwarePasskey.fromFile(softwarePasskeyFileSchema.parse(JSON.parse(text)));
      return {
        id: person.id,
        name: person.name,
        groups: [...person.groups],
        credentials: [
          {
            id: passkey.credentialId.toString('base64url'),
            publicKey: passkey.sec1PublicKey.toString('hex'),
          },
        ],
      };
    }),
    services: services.map((service) => {
      const seed = keep(path.join(folder, `${service.id}.key`), () => randomBytes(32).toString('hex'));
      const publicKey = bytesToHex(ed25519.getPublicKey(Buffer.from(seed, 'hex')));
      return { id: service.id, roles: [service.role], keys: [{ id: serviceKeyIdOf(service.id), publicKey }] };
    }),
    governance: { bundle: { compliance: 2, treasury: 1 } },
  }).roster;
}

function makeTokens(folder: string): string {
  const tokens = tokenRoles.map((role) => {
    const token = keep(path.join(folder, 'tokens', role), () => randomBytes(32).toString('base64url'));
    return { name: `${role}-dev`, role, sha256: createHash('sha256').update(token).digest('hex') };
  });
  return JSON.stringify({ tokens }, null, 2);
}

/**
 * ETH-USD. One unit of ether is a gwei, one of dollars a millionth. A lot of 0.0001 ETH at a tick of 0.01 USD per ETH is then worth
 * one unit.
 */
function makeEngineConfig(): string {
  const gweiExponent = 9;
  const lotUnits = 100_000;
  /** 10,000 USD per ETH; the ladder could have 1,048,576 ticks. */
  const maxPrice = 1_000_000;
  /** 10,000 ETH. At the highest price 100 million USD, 10^14 units, below 2^53. */
  const maxOrderLots = 100_000_000;
  return JSON.stringify(
    parseEngineConfig({
      assets: [
        { id: `eip155:${anvilChainId}/slip44:60`, unitExponent: gweiExponent },
        { id: booksOnlyUsd.asset, unitExponent: 0 },
      ],
      markets: [
        {
          id: 'ETH-USD',
          base: 0,
          quote: 1,
          lotUnits,
          tickUnits: 1,
          minPrice: 1,
          maxPrice,
          minOrderLots: 1,
          maxOrderLots,
          // 10 million USD.
          maxOrderValue: 10_000_000_000_000,
          collarPpm: 50_000,
          fees: [
            { makerPpm: 1_000, takerPpm: 2_000 },
            { makerPpm: 500, takerPpm: 1_000 },
          ],
          state: 'open',
        },
      ],
      ordersMax: 65_536,
      accountsMax: 4_096,
      limits: { openOrders: 500, ordersPerSecond: 200 },
      clientIdsKept: 65_536,
    }),
    null,
    2,
  );
}

/**
 * Makes or finds the files below `folder`.
 * @throws POLICY_* when a kept policy or roster is not usable, LEDGER_HEAD_KEY_INVALID
 */
export function ensureSuiteFiles(folder: string, signerCount: number): SuiteFiles {
  for (const part of ['passkeys', 'tokens'])
    mkdirSync(path.join(folder, part), { recursive: true, mode: 0o700 });
  chmodSync(folder, 0o700);
  const at = (name: string) => path.join(folder, name);
  const clock = { nowMs: () => Date.now() };
  const random = { bytes: (length: number) => randomBytes(length) };

  const walletId = keep(at('wallet-id'), () => newId('wal', clock, random));
  const { roster } = loadRoster(JSON.parse(keep(at('roster.json'), () => canonicalJson(makeRoster(folder)))));
  const policyText = keep(at('policy.json'), () => {
    const yaml = readFileSync(path.join(checkoutRoot, 'policies', 'dev-policy.yaml'), 'utf8');
    return canonicalJson(parsePolicy(yaml, { roster }).policy);
  });
  const { policy } = loadPolicy(JSON.parse(policyText), { roster });
  keep(at('tokens.json'), () => makeTokens(folder));
  keep(at('ledger.pem'), makeHeadKey);
  keep(at('engine.json'), makeEngineConfig);
  keep(at('engine-link.token'), () => randomBytes(32).toString('base64url'));
  const keyEncryptionFileOf = (party: number) => at(`key-encryption-${party}.key`);
  for (let party = 1; party <= signerCount; party++)
    keep(keyEncryptionFileOf(party), () => randomBytes(32).toString('hex'));
  return {
    walletId,
    policyFile: at('policy.json'),
    rosterFile: at('roster.json'),
    tokensFile: at('tokens.json'),
    committeeFile: at('committee.json'),
    ledgerKeyFile: at('ledger.pem'),
    ledgerPublicKey: openHeadKey(at('ledger.pem')).publicKey,
    pins: {
      policyHash: policyHash(policy),
      policyVersion: policy.version,
      rosterHash: rosterHash(roster),
      rosterVersion: roster.version,
    },
    tokenFileOf: (role) => path.join(folder, 'tokens', role),
    serviceKeyFileOf: (service) => at(`${service}.key`),
    passkeyFileOf: (person) => path.join(folder, 'passkeys', `${person}.json`),
    keyEncryptionFileOf,
    engineConfigFile: at('engine.json'),
    engineLinkTokenFile: at('engine-link.token'),
  };
}
