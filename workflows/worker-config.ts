/** Configuration of the worker, and the part of it the api shares. Secrets come by file path only. */
import { z } from 'zod';
import { tiers } from '#policies/contract';

const unitsText = z.string().regex(/^[1-9][0-9]{0,77}$/, 'a whole number of base units above zero');
const durationMs = z.number().int().min(10).max(604_800_000);

const chainConfigSchema = z.strictObject({
  name: z.literal('ethereum'),
  /** CAIP-2 id. */
  chain: z.string(),
  url: z.url(),
  startHeight: z.union([z.literal('final'), z.number().int().min(0)]).default('final'),
  finality: z
    .union([
      z.strictObject({ kind: z.literal('tag') }),
      z.strictObject({ kind: z.literal('depth'), depth: z.number().int().min(1) }),
    ])
    .default({ kind: 'tag' }),
  timeoutMs: z.number().int().min(100).optional(),
  /** Fee cap of a withdrawal's intent, base units of the chain's own asset. 21000 gas at 476 gwei. */
  feeCapUnits: unitsText.default('10000000000000000'),
  /** Fee cap of a sweep's intent; the policy bounds it too. */
  sweepFeeCapUnits: unitsText.default('5000000000000000'),
  /** A deposit address is swept when at least this much would arrive. */
  sweepMinUnits: unitsText.default('10000000000000000'),
  /** Reconciliation stops payments for a break with more at stake than this, base units; 0: for every loss. */
  breakBoundUnits: z
    .string()
    .regex(/^(0|[1-9][0-9]{0,77})$/, 'a whole number of base units')
    .default('0'),
});

const walletConfigSchema = z.strictObject({
  id: z.string().regex(/^wal_[0-9a-f-]{36}$/),
  vault: z.string(),
  tier: z.enum(tiers),
  chain: z.string(),
});

/** An asset that lives on our books only: money an exchange keeps elsewhere, or a test's. */
const ledgerAssetSchema = z.strictObject({
  asset: z.string().regex(/^ledger:[a-z][a-z0-9-]{0,31}$/, 'ledger:<name>'),
  /** For display, and for the decimals of trading. */
  decimals: z.number().int().min(0).max(60),
});

export const serviceKeySchema = z.strictObject({
  /** Id of the service in the roster. */
  serviceId: z.string().min(1),
  keyId: z.string().min(1),
  /** Ed25519: PKCS#8 PEM, or the 32-byte seed as hex. */
  file: z.string().min(1),
});

/** What every process needs that works with withdrawals. */
export const operationsConfigSchema = z.object({
  databaseUrl: z.string().min(1),
  chains: z.array(chainConfigSchema).min(1),
  wallets: z.array(walletConfigSchema).min(1),
  ledgerAssets: z.array(ledgerAssetSchema).max(256).default([]),
  committeeFile: z.string().min(1),
  policyFile: z.string().min(1),
  rosterFile: z.string().min(1),
  /** How long an intent waits for people and for the chain before it expires. */
  intentLifetimeMs: durationMs.default(86_400_000),
  /** Accepts development wallets and rosters, and arms failpoints. */
  dev: z.boolean().default(false),
});
export type OperationsConfig = z.output<typeof operationsConfigSchema>;

export const workerConfigSchema = operationsConfigSchema.extend({
  temporalAddress: z.string().min(1),
  temporalNamespace: z.string().min(1).default('strongroom'),
  sweepKey: serviceKeySchema,
  /** The ledger's own Ed25519 key (PKCS#8 PEM); with it heads are signed and handed to the co-signers. */
  ledgerKeyFile: z.string().min(1).optional(),
  /** Keeps bundled workflow definitions between starts. */
  bundleCacheFolder: z.string().min(1).optional(),
  host: z.string().default('127.0.0.1'),
  healthPort: z.number().int().min(1).max(65535),
  intervals: z
    .strictObject({
      /** Between two looks at the chain's head. */
      chainPollMs: durationMs.default(1000),
      /** Between two looks at the approvals of a withdrawal; a wake-up comes earlier. */
      withdrawalPollMs: durationMs.default(30_000),
      /** Between two claims; a wake-up comes earlier. */
      batcherPollMs: durationMs.default(5000),
      sweeperPollMs: durationMs.default(15_000),
      /** Between two looks at a payment under way. */
      paymentPollMs: durationMs.default(2000),
      /** A payment not mined for so long is replaced by a dearer one. */
      stuckAfterMs: durationMs.default(120_000),
      outboxPollMs: durationMs.default(250),
      /** Between two looks at the ledger: holds that are due, partitions, totals and the batches since the last look. */
      ledgerPollMs: durationMs.default(10_000),
      /** Between two reconciliations of a chain with its node and our signatures. */
      reconcileEveryMs: durationMs.default(60_000),
      /** Between two proofs of the whole ledger from its journal; reads all of it. */
      verifyEveryMs: durationMs.default(86_400_000),
      /** Between two exports of the ledger's head: a consistent rewrite of what came in between is not found. */
      exportHeadEveryMs: durationMs.default(60_000),
      /** Between two looks at all heads the co-signers have; a hundred of each are read and verified. */
      verifyHeadsEveryMs: durationMs.default(600_000),
    })
    .prefault({}),
});
export type WorkerConfig = z.output<typeof workerConfigSchema>;
