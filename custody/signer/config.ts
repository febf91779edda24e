/** A co-signer's configuration: one JSON file, unknown keys fail, secrets by file path only. */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { errorsOf, messageOf } from '#core/errors';
import { custodyErrors } from '#custody/protocol';
import { hexText, tiers } from '#policies/contract';

const fail = errorsOf(custodyErrors);

/** anvil's and Hardhat's chain id; the only chain a development co-signer signs for. */
export const developmentChain = 'eip155:31337';
/** More wallets than one committee reasonably serves; the list is read by people. */
const walletsMax = 1000;
/** Module instances run in worker threads; more than the cores of a large machine brings nothing. */
const engineThreadsMax = 64;

const sha = z.custom<`sha256:${string}`>(
  (v) => typeof v === 'string' && /^sha256:[0-9a-f]{64}$/.test(v),
  'sha256:<64 hex>',
);
const version = z.number().int().min(1);
const path = z.string().min(1).max(4096);

export const signerConfigSchema = z.strictObject({
  party: z.number().int().min(1).max(255),
  committeeFile: path,
  dataDir: path,
  listen: z.strictObject({ host: z.string().min(1).max(255), port: z.number().int().min(0).max(65535) }),
  /** `plain` keeps the key beside the data: development only. */
  keyEncryption: z.union([
    z.strictObject({ file: path }),
    z.strictObject({ passphraseFile: path }),
    z.strictObject({ plain: z.literal(true) }),
  ]),
  dev: z.boolean().default(false),
  acceptUnauditedEcdsaEngine: z.boolean().default(false),
  policyFile: path,
  rosterFile: path,
  pins: z.strictObject({ policyHash: sha, policyVersion: version, rosterHash: sha, rosterVersion: version }),
  wallets: z
    .array(
      z.strictObject({
        id: z.string().regex(/^wal_[0-9a-f-]{36}$/),
        vault: z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/),
        tier: z.enum(tiers),
        /** CAIP-2. */
        chain: z.string().regex(/^eip155:[1-9][0-9]{0,15}$/, 'an EVM chain, eip155:<id>'),
      }),
    )
    .min(1)
    .max(walletsMax),
  /** Ed25519, 32 bytes hex: whose heads are recorded. Absent: none are. */
  ledgerPublicKey: hexText.length(64).optional(),
  engineThreads: z.number().int().min(1).max(engineThreadsMax).default(1),
});
export type SignerConfig = z.output<typeof signerConfigSchema>;
export type WalletConfig = SignerConfig['wallets'][number];

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as unknown;
  } catch (error) {
    throw fail(
      'CUSTODY_CONFIG_INVALID',
      `${file} cannot be read as JSON: ${messageOf(error)}`,
      { file },
      error,
    );
  }
}

/** Reads a JSON document of the given form. @throws CUSTODY_CONFIG_INVALID naming every wrong field */
export function readDocument<S extends z.ZodType>(schema: S, file: string): z.output<S> {
  const result = schema.safeParse(readJson(file));
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  throw fail('CUSTODY_CONFIG_INVALID', `${file}: ${problems.join('; ')}`, { file, problems });
}

/** What only a development start may have. @throws CUSTODY_CONFIG_INVALID */
export function assertStartAllowed(config: SignerConfig, engine?: { readonly audited: boolean }): void {
  const refuse = (message: string) => fail('CUSTODY_CONFIG_INVALID', message);
  if (config.dev) {
    const other = config.wallets.find((wallet) => wallet.chain !== developmentChain);
    if (other !== undefined)
      throw refuse(
        `a development co-signer serves ${developmentChain} only, not ${other.id} on ${other.chain}`,
      );
    return;
  }
  if ('plain' in config.keyEncryption) throw refuse('keyEncryption.plain is for development only');
  if (engine?.audited === false && !config.acceptUnauditedEcdsaEngine)
    throw refuse('the ECDSA engine is unaudited: set acceptUnauditedEcdsaEngine to true if you accept that');
}

/**
 * Reads and checks a configuration file; relative paths in it are seen from its own folder.
 * @throws CUSTODY_CONFIG_INVALID
 */
export function loadSignerConfig(file: string): SignerConfig {
  const config = readDocument(signerConfigSchema, file);
  const at = (relative: string) => resolve(dirname(file), relative);
  const { keyEncryption } = config;
  const resolved: SignerConfig = {
    ...config,
    committeeFile: at(config.committeeFile),
    dataDir: at(config.dataDir),
    policyFile: at(config.policyFile),
    rosterFile: at(config.rosterFile),
    keyEncryption:
      'file' in keyEncryption
        ? { file: at(keyEncryption.file) }
        : 'passphraseFile' in keyEncryption
          ? { passphraseFile: at(keyEncryption.passphraseFile) }
          : keyEncryption,
  };
  const ids = resolved.wallets.map((wallet) => wallet.id);
  if (new Set(ids).size !== ids.length)
    throw fail('CUSTODY_CONFIG_INVALID', `${file}: a wallet is listed twice`);
  assertStartAllowed(resolved);
  return Object.freeze(resolved);
}
