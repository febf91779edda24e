/** Puts the facades together for a process that works with withdrawals: the worker, the api, a test. */
import { createPrivateKey, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createChains } from '#chains';
import { errorsOf, messageOf } from '#core/errors';
import { type Id, isId } from '#core/ids';
import { assetId, chainId } from '#core/money';
import { custodyErrors } from '#custody/contract';
import { type CommitteeFile, committeeSchema } from '#custody/protocol';
import { infraErrors } from '#infra/contract';
import { openPool, type Pool } from '#infra/db';
import { createLedger } from '#ledger';
import { parsePolicy, parseRoster } from '#policies/yaml';
import type { IntentSigner, OperationsDeps } from './operations/context.ts';
import type { CustodyPort } from './operations/ports.ts';
import type { OperationsConfig } from './worker-config.ts';

const fail = errorsOf(infraErrors);
const failCustody = errorsOf(custodyErrors);
const seedBytes = 32;

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw fail('INFRA_CONFIG_INVALID', `${file} cannot be read: ${messageOf(error)}`, { file });
  }
}

/**
 * The key of a service of the roster. The file's content never reaches a message.
 * @throws INFRA_CONFIG_INVALID
 */
export function readServiceKey(options: {
  readonly serviceId: string;
  readonly keyId: string;
  readonly file: string;
}): IntentSigner {
  const text = readText(options.file).trim();
  let seed: Buffer;
  try {
    seed = /^[0-9a-f]{64}$/.test(text)
      ? Buffer.from(text, 'hex')
      : Buffer.from(createPrivateKey(text).export({ format: 'jwk' }).d ?? '', 'base64url');
  } catch {
    seed = Buffer.alloc(0);
  }
  if (seed.length !== seedBytes)
    throw fail(
      'INFRA_CONFIG_INVALID',
      `${options.file} holds no Ed25519 private key (PKCS#8 PEM or seed as hex)`,
      {
        file: options.file,
      },
    );
  return { serviceId: options.serviceId, keyId: options.keyId, secretKey: Uint8Array.from(seed) };
}

/** @throws CUSTODY_CONFIG_INVALID */
export function readCommittee(file: string): CommitteeFile {
  try {
    return committeeSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    throw failCustody('CUSTODY_CONFIG_INVALID', `${file} is not a committee file: ${messageOf(error)}`, {
      file,
    });
  }
}

export interface OpenedDeps {
  readonly deps: OperationsDeps;
  readonly pool: Pool;
  close(): Promise<void>;
}

function walletIdOf(text: string): Id<'wal'> {
  if (!isId('wal', text)) throw fail('INFRA_CONFIG_INVALID', `${text} is not a wallet id`, { wallet: text });
  return text;
}

/** @throws INFRA_CONFIG_INVALID, POLICY_*, CHAINS_UNKNOWN */
export function openDeps(
  config: OperationsConfig,
  options: {
    readonly applicationName: string;
    /** Custody over the pool and the adapters made here. */
    readonly custody: (made: Pick<OperationsDeps, 'pool' | 'chains' | 'clock' | 'random'>) => CustodyPort;
    readonly withdrawalSigner?: IntentSigner;
    readonly sweepSigner?: IntentSigner;
  },
): OpenedDeps {
  const { roster, rosterHash } = parseRoster(readText(config.rosterFile));
  const { policy, policyHash } = parsePolicy(readText(config.policyFile), { roster });
  const wallets = config.wallets.map((wallet) => ({
    id: walletIdOf(wallet.id),
    vault: wallet.vault,
    tier: wallet.tier,
    chain: chainId(wallet.chain),
  }));
  const chains = createChains({
    configs: config.chains.map((chain) => ({
      name: chain.name,
      chain: chain.chain,
      url: chain.url,
      startHeight: chain.startHeight,
      finality: chain.finality,
      ...(chain.timeoutMs === undefined ? {} : { timeoutMs: chain.timeoutMs }),
    })),
  });
  const pool = openPool({
    connectionString: config.databaseUrl,
    applicationName: options.applicationName,
  });
  const clock = { nowMs: () => Date.now() };
  const random = { bytes: (length: number) => Uint8Array.from(randomBytes(length)) };
  const deps: OperationsDeps = {
    pool,
    ledger: createLedger({ pool }),
    chains,
    custody: options.custody({ pool, chains, clock, random }),
    wallets,
    ledgerAssets: config.ledgerAssets.map(({ asset }) => assetId(asset)),
    chainSettings: config.chains.map((chain) => ({
      chain: chainId(chain.chain),
      feeCapUnits: BigInt(chain.feeCapUnits),
      sweepFeeCapUnits: BigInt(chain.sweepFeeCapUnits),
      sweepMinUnits: BigInt(chain.sweepMinUnits),
      breakBoundUnits: BigInt(chain.breakBoundUnits),
    })),
    policy,
    policyHash,
    roster,
    rosterHash,
    clock,
    random,
    intentLifetimeMs: config.intentLifetimeMs,
    ...(options.withdrawalSigner === undefined ? {} : { withdrawalSigner: options.withdrawalSigner }),
    ...(options.sweepSigner === undefined ? {} : { sweepSigner: options.sweepSigner }),
  };
  return {
    deps,
    pool,
    close: async () => {
      chains.close();
      await pool.end();
    },
  };
}
