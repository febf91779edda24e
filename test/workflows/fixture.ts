/**
 * Operations over a real database, ledger and chain records, without Temporal and co-signers: one HD key of the test stands
 * behind custody, and blocks are handed in as the follower would.
 */
import { randomBytes } from 'node:crypto';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { keccak_256 } from '@noble/hashes/sha3.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import { HDKey } from '@scure/bip32';
import { afterAll } from 'vitest';
import { createChains } from '#chains';
import type { Block, ChainTransfer, MinedTransaction } from '#chains/contract';
import { derivedId, type Id, newId } from '#core/ids';
import { assetId, chainId } from '#core/money';
import type { Custody, SignOrder } from '#custody/contract';
import { openPool } from '#infra/db';
import { createLedger } from '#ledger';
import { loadPolicy } from '#policies';
import { type AllOperations, createOperations } from '#workflows';
import type { OperationsDeps } from '../../workflows/operations/context.ts';
import { bookStep } from '../../workflows/operations/follow.ts';
import { databaseForThisFile } from '../support/database.ts';
import { type DevRoster, devRoster } from '../support/dev-roster.ts';

export const chain = chainId('eip155:31337');
export const ether = assetId('eip155:31337/slip44:60');
export const dollars = assetId('ledger:usd');
export const oneEther = 10n ** 18n;
export const outside = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8';
export const otherOutside = '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC';

const random = { bytes: (length: number) => Uint8Array.from(randomBytes(length)) };

const rules = [
  {
    id: 'A1',
    title: 'pay customers',
    effect: 'allow',
    when: { action: 'withdraw', initiatorRole: 'withdrawal-service' },
  },
  {
    id: 'S1',
    title: 'sweep home',
    effect: 'allow',
    when: { action: 'sweep', initiatorRole: 'sweep', destination: 'own-hot' },
  },
  {
    id: 'R1',
    title: 'from 1 ether two of treasury',
    effect: 'require',
    when: { action: 'withdraw', asset: ether, amount: { gte: oneEther.toString() } },
    require: { approvals: { treasury: 2 } },
  },
  {
    id: 'D1',
    title: 'too much',
    effect: 'deny',
    when: { action: 'withdraw', asset: ether, amount: { gt: (50n * oneEther).toString() } },
  },
];
export const policyOf = (version: number, extra: readonly unknown[] = []) =>
  loadPolicy({
    policy: 'test',
    format: 1,
    version,
    parent: null,
    default: 'deny',
    rules: [...rules, ...extra],
    velocity: [],
  });

export function makeRoster(): DevRoster {
  return devRoster({
    people: [
      ...['ana', 'ben', 'cleo'].map((id) => ({ id, groups: ['treasury'] })),
      { id: 'dora', groups: ['compliance'] },
    ],
    services: [
      { id: 'api', roles: ['withdrawal-service'] },
      { id: 'sweeper', roles: ['sweep'] },
    ],
  });
}

/** Custody with one key of the test; addresses are kept in memory. */
export function singleKeyCustody(options: {
  readonly walletId: Id<'wal'>;
  readonly addressOf: (publicKey: Uint8Array) => string;
}): Pick<
  Custody,
  'newDepositAddress' | 'hotAddress' | 'findAddresses' | 'addressPage' | 'walletRoot' | 'sign'
> & {
  orders: SignOrder[];
} {
  const root = HDKey.fromMasterSeed(randomBytes(32));
  const { walletId } = options;
  const given = new Map<string, { address: string; path: string; accountId: Id<'acc'> }>();
  const keyAt = (path: string): HDKey => root.derive(path);
  const addressAt = (path: string): string => options.addressOf(keyAt(path).publicKey ?? new Uint8Array());
  const hot = { walletId, chain, path: 'm/1/0', address: addressAt('m/1/0') };
  const orders: SignOrder[] = [];
  const all = () => [hot, ...[...given.values()].map((each) => ({ walletId, chain, ...each }))];
  return {
    orders,
    hotAddress: () => Promise.resolve(hot),
    newDepositAddress: ({ accountId }) => {
      const path = `m/0/${given.size}`;
      const known = given.get(accountId) ?? { address: addressAt(path), path, accountId };
      given.set(accountId, known);
      return Promise.resolve({ walletId, chain, ...known });
    },
    findAddresses: (_chain, addresses) =>
      Promise.resolve(all().filter((each) => addresses.includes(each.address))),
    addressPage: ({ afterPath, limit }) =>
      Promise.resolve(
        all()
          .filter((each) => each.path > afterPath)
          .sort((a, b) => (a.path < b.path ? -1 : 1))
          .slice(0, limit),
      ),
    walletRoot: () =>
      Promise.resolve({
        wallet: walletId,
        epoch: 0,
        publicKey: root.publicKey ?? new Uint8Array(),
        chainCode: root.chainCode ?? new Uint8Array(),
        transcriptHash: 'none',
        dev: true,
        statements: [],
      }),
    sign: (order) => {
      orders.push(order);
      const key = keyAt(order.path);
      const digest = keccak_256(Uint8Array.from(Buffer.from(order.unsigned, 'hex')));
      const signature = secp256k1.Signature.fromBytes(
        secp256k1.sign(digest, key.privateKey ?? new Uint8Array(), { prehash: false, format: 'recovered' }),
        'recovered',
      );
      return Promise.resolve({
        signature: {
          compact: bytesToHex(signature.toBytes('compact')),
          recoveryId: signature.recovery === 1 ? 1 : 0,
          publicKey: bytesToHex(key.publicKey ?? new Uint8Array()),
        },
        participants: [1, 2],
        session: 'ses_test',
        refusals: [],
        aborted: [],
      });
    },
  };
}

export interface TestBench {
  readonly deps: OperationsDeps;
  readonly operations: AllOperations;
  readonly roster: DevRoster;
  readonly walletId: Id<'wal'>;
  readonly hot: string;
  readonly chainOfBlocks: TestChain;
  /** The same database under another policy. */
  withPolicy(loaded: ReturnType<typeof policyOf>): OperationsDeps;
  newAccount(): Promise<Id<'acc'>>;
  /** An account with a final deposit. */
  fundedAccount(units: bigint): Promise<Id<'acc'>>;
  /** A final inflow to the hot address. */
  fundHot(units: bigint): Promise<void>;
  newWithdrawalId(): Id<'wd'>;
  countRows(table: string): Promise<number>;
  ledgerIsSound(): Promise<void>;
}

/** A chain of blocks made up by the test. */
export class TestChain {
  readonly #deps: () => OperationsDeps;
  height = 0;
  finalized = 0;
  head = { height: 0, hash: '', parentHash: '', timeMs: 0 };
  #made = 0;

  constructor(deps: () => OperationsDeps) {
    this.#deps = deps;
  }

  txId(): string {
    this.#made += 1;
    return `0x${bytesToHex(randomBytes(32))}`;
  }

  transfer(to: string, units: bigint, from = otherOutside): MinedTransaction {
    const txId = this.txId();
    const transfer: ChainTransfer = { chain, txId, index: 0, asset: ether, from, to, units };
    return { txId, from, nonce: 0, succeeded: true, feeUnits: 0n, transfers: [transfer] };
  }

  /** Adds a block on top of `parent` (the head). */
  async extend(
    transactions: readonly MinedTransaction[] = [],
    finalizedHeight = this.finalized,
  ): Promise<Block> {
    const block: Block = {
      height: this.head.height + 1,
      hash: `0x${bytesToHex(randomBytes(32))}`,
      parentHash: this.head.hash === '' ? `0x${'0'.repeat(64)}` : this.head.hash,
      timeMs: 1_700_000_000_000 + (this.head.height + 1) * 12_000,
      transactions,
    };
    this.finalized = finalizedHeight;
    await bookStep(this.#deps(), chain, { kind: 'extend', block, finalizedHeight });
    this.head = block;
    return block;
  }

  /** Everything up to the head becomes final. */
  async finalise(): Promise<void> {
    this.finalized = this.head.height;
    await bookStep(this.#deps(), chain, { kind: 'idle', head: this.head, finalizedHeight: this.finalized });
  }

  async rollback(to: Block, orphaned: readonly Block[], belowFinal = false): Promise<void> {
    await bookStep(this.#deps(), chain, { kind: 'rollback', ancestor: to, orphaned, belowFinal });
    this.head = to;
  }
}

export async function openBench(options: { readonly nodeUrl?: string } = {}): Promise<TestBench> {
  const pool = openPool({ connectionString: await databaseForThisFile(), applicationName: 'test' });
  afterAll(async () => {
    await pool.end();
  });
  const clock = { nowMs: () => Date.now() };
  const walletId = newId('wal', clock, random);
  const roster = makeRoster();
  const { policy, policyHash } = policyOf(1);
  const chains = createChains({
    configs: [
      {
        name: 'ethereum',
        chain,
        url: options.nodeUrl ?? 'http://127.0.0.1:9',
        startHeight: 0,
        finality: { kind: 'tag' },
        timeoutMs: 5000,
      },
    ],
  });
  const custody = singleKeyCustody({
    walletId,
    addressOf: (key) => chains.adapter(chain).addressOfPublicKey(key),
  });
  const signerOf = (serviceId: string) => {
    const key = roster.serviceKeys.get(serviceId);
    if (key === undefined) throw new Error(serviceId);
    return { serviceId, ...key };
  };
  const deps: OperationsDeps = {
    pool,
    ledger: createLedger({ pool }),
    chains,
    custody,
    wallets: [{ id: walletId, vault: 'customers', tier: 'hot', chain }],
    ledgerAssets: [dollars],
    chainSettings: [
      {
        chain,
        feeCapUnits: 10n ** 16n,
        sweepFeeCapUnits: 5n * 10n ** 15n,
        sweepMinUnits: 10n ** 16n,
        breakBoundUnits: 0n,
      },
    ],
    policy,
    policyHash,
    roster: roster.roster,
    rosterHash: roster.rosterHash,
    clock,
    random,
    withdrawalSigner: signerOf('api'),
    sweepSigner: signerOf('sweeper'),
    intentLifetimeMs: 3_600_000,
  };
  const operations = createOperations(deps);
  await operations.openHouseAccounts();
  const hot = (await custody.hotAddress(walletId)).address;
  const blocks = new TestChain(() => deps);
  const newAccount = async (): Promise<Id<'acc'>> => {
    const id = newId('acc', clock, random);
    await operations.createAccount({ id });
    return id;
  };
  return {
    deps,
    operations,
    roster,
    walletId,
    hot,
    chainOfBlocks: blocks,
    withPolicy: (loaded) => ({ ...deps, ...loaded }),
    newAccount,
    fundedAccount: async (units) => {
      const accountId = await newAccount();
      const { address } = await operations.depositAddress({ accountId, asset: ether });
      await blocks.extend([blocks.transfer(address, units)]);
      await blocks.finalise();
      return accountId;
    },
    fundHot: async (units) => {
      await blocks.extend([blocks.transfer(hot, units)]);
      await blocks.finalise();
    },
    newWithdrawalId: () => newId('wd', clock, random),
    countRows: async (table) => {
      const { rows } = await pool.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${table}`);
      return rows[0]?.n ?? -1;
    },
    ledgerIsSound: async () => {
      const { problems } = await deps.ledger.verify();
      if (problems.length > 0) throw new Error(JSON.stringify(problems));
    },
  };
}

export const caseId = (name: string): Id<'case'> => derivedId('case', name);
