import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { HDKey } from '@scure/bip32';
import { computeAddress, getAddress, SigningKey } from 'ethers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newId } from '#core/ids';
import { createCustody, verifyAddress, verifyStatements } from '#custody';
import type { Custody, WalletSpec } from '#custody/contract';
import type { KeyStatement } from '#custody/protocol';
import { openPool, type Pool } from '#infra/db';
import { createLogger } from '#infra/log';
import { createHttpTransport } from '../../custody/coordinator/transport.ts';
import { type CoSigners, chain, clock, prepareCoSigners, random } from '../support/co-signers.ts';
import { databaseForThisFile } from '../support/database.ts';

const run = promisify(execFile);
const silent = createLogger('test', { level: 'silent' });
/** A key ceremony costs 17 CPU-seconds on an idle machine. */
const ceremonyTimeoutMs = 180_000;

let coSigners: CoSigners;
let pool: Pool;
let custody: Custody;
let wallet: WalletSpec;
let statements: readonly KeyStatement[];

const addressOfPublicKey = (publicKey: Uint8Array): string =>
  getAddress(computeAddress(SigningKey.computePublicKey(publicKey, false)));
const open = (signing: boolean): Custody =>
  createCustody({
    pool,
    committee: coSigners.committee,
    dev: true,
    addressOfPublicKey: () => addressOfPublicKey,
    ...(signing ? { signing: { log: silent, clock, random } } : {}),
  });

beforeAll(async () => {
  const connectionString = await databaseForThisFile();
  pool = openPool({ connectionString, applicationName: 'test' });
  const folder = mkdtempSync(path.join(tmpdir(), 'strongroom-ceremony-'));
  coSigners = await prepareCoSigners({ folder, shares: 'ceremony' });
  await coSigners.startAll();
  wallet = { id: coSigners.wallet, vault: 'customers', tier: 'hot', chain };
  custody = open(true);
  ({ statements } = await custody.ensureWallet(wallet));
}, ceremonyTimeoutMs);
afterAll(async () => {
  custody.close();
  await coSigners.stopAll();
  await pool.end();
});

describe('a key ceremony over three processes', () => {
  it('leaves one activated key that every co-signer states', () => {
    expect(statements.map(({ party }) => party)).toEqual([1, 2, 3]);
    expect(new Set(statements.map(({ publicKey }) => publicKey)).size).toBe(1);
    expect(new Set(statements.map(({ transcriptHash }) => transcriptHash)).size).toBe(1);
    expect(statements.every(({ dev }) => dev)).toBe(true);
  });

  it('gives the addresses that BIP32 derives from the stated root', async () => {
    const [first] = statements;
    const root = new HDKey({
      publicKey: Buffer.from(first?.publicKey ?? '', 'hex'),
      chainCode: Buffer.from(first?.chainCode ?? '', 'hex'),
    });
    for (const at of ['m/1/0', 'm/0/0', 'm/0/7', 'm/0/2147483647']) {
      const expected = addressOfPublicKey(root.derive(at).publicKey ?? new Uint8Array());
      expect(await custody.deriveAddress(wallet.id, at)).toBe(expected);
      expect(verifyAddress({ ...given(statements), path: at, expected }).address).toBe(expected);
    }
    await expect(custody.deriveAddress(wallet.id, "m/0'/1")).rejects.toMatchObject({
      code: 'CUSTODY_ADDRESS_UNKNOWN',
    });
  });

  it('signs by every pair, with a signature that recovers the hot address', async () => {
    const pairs = new Set<string>();
    for (let turn = 0; turn < 3; turn += 1) {
      const order = coSigners.order();
      const { signature, participants } = await custody.sign(order);
      expect(addressOfPublicKey(Buffer.from(signature.publicKey, 'hex'))).toBe(
        (await custody.hotAddress(coSigners.wallet as never)).address,
      );
      pairs.add(participants.join('+'));
    }
    expect(pairs.size).toBe(3);
  });

  it('runs once per wallet, and only for configured wallets', async () => {
    const transport = createHttpTransport(coSigners.committee);
    const ask = async (id: string) =>
      await transport(1, 'POST', '/v1/dkg/open', {
        session: newId('ses', clock, random),
        request: { wallet: id, threshold: 2, parties: 3, epoch: 0 },
      });
    await expect(ask(wallet.id)).rejects.toMatchObject({ code: 'CUSTODY_WALLET_ACTIVE' });
    await expect(ask(newId('wal', clock, random))).rejects.toMatchObject({ code: 'CUSTODY_WALLET_UNKNOWN' });
    transport.close();
    expect((await custody.ensureWallet(wallet)).statements).toEqual(statements);
  });

  it('is finished from the stored acknowledgements by a process that comes later', async () => {
    await pool.query('DELETE FROM custody.key_statement WHERE wallet_id = $1', [wallet.id]);
    const later = open(true);
    expect((await later.ensureWallet(wallet)).statements.map(({ publicKey }) => publicKey)).toEqual(
      statements.map(({ publicKey }) => publicKey),
    );
    later.close();
  });
});

const given = (list: readonly unknown[]) => ({
  wallet: wallet.id,
  statements: list,
  committee: coSigners.committee,
  dev: true,
  addressOfPublicKey,
});

describe('statements and addresses', () => {
  it('are not believed when one is missing, changed, repeated or about something else', () => {
    const [first, second, third] = statements;
    if (first === undefined || second === undefined || third === undefined)
      throw new Error('three are needed');
    const verify =
      (list: readonly unknown[], dev = true) =>
      () =>
        verifyStatements(wallet.id, list, { committee: coSigners.committee, dev });
    expect(verify(statements)).not.toThrow();
    expect(verify([first, second])).toThrow('one of every co-signer is needed');
    expect(verify([first, second, second])).toThrow('one is missing');
    for (const change of [
      { publicKey: `02${'11'.repeat(32)}` },
      { chainCode: '22'.repeat(32) },
      { transcriptHash: `sha256:${'0'.repeat(64)}` },
      { wallet: newId('wal', clock, random) },
      { epoch: 1 },
      { threshold: 3 },
      { dev: false },
    ])
      expect(verify([first, second, { ...third, ...change }])).toThrow('a signature does not verify');
    expect(verify([first, second, { ...third, extra: 1 }])).toThrow('one is malformed');
    expect(verify(statements, false)).toThrow('one is about a development share');
    expect(() =>
      verifyStatements(newId('wal', clock, random), statements, {
        committee: coSigners.committee,
        dev: true,
      }),
    ).toThrow('one is about another wallet');
  });

  it('are refused from a database that somebody edited', async () => {
    await pool.query(
      `UPDATE custody.key_statement SET statement = jsonb_set(statement, '{publicKey}', $2::jsonb)
        WHERE wallet_id = $1 AND party = 2`,
      [wallet.id, JSON.stringify(`03${'11'.repeat(32)}`)],
    );
    await expect(open(false).walletRoot(wallet.id)).rejects.toMatchObject({
      code: 'CUSTODY_STATEMENT_INVALID',
    });
    const second = statements[1];
    await pool.query(
      'UPDATE custody.key_statement SET statement = $2::jsonb WHERE wallet_id = $1 AND party = 2',
      [wallet.id, JSON.stringify(second)],
    );
    await expect(open(false).walletRoot(wallet.id)).resolves.toMatchObject({ wallet: wallet.id });
  });

  it('gives an account one deposit address, different from every other, and finds it again', async () => {
    const walletId = coSigners.wallet as `wal_${string}`;
    const accounts = Array.from({ length: 4 }, () => newId('acc', clock, random));
    const made = await Promise.all(
      [...accounts, ...accounts].map(
        async (accountId) => await custody.newDepositAddress({ walletId, accountId }),
      ),
    );
    expect(made.slice(0, 4)).toEqual(made.slice(4));
    expect(new Set(made.map(({ address }) => address)).size).toBe(4);
    const reader = open(false);
    const hot = await reader.hotAddress(walletId);
    const stranger = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8';
    const found = await reader.findAddresses(chain, [hot.address, stranger, made[0]?.address ?? '']);
    expect(new Set(found.map(({ address }) => address))).toEqual(new Set([hot.address, made[0]?.address]));
    expect(await reader.addressesOf(walletId)).toHaveLength(5);
    const swapped = { address: stranger, account: accounts[0] };
    await pool.query('UPDATE custody.address SET address = $1 WHERE account_id = $2', [
      swapped.address,
      swapped.account,
    ]);
    // Ours by derivation, but at a path no co-signer signs for: what is paid there could never be moved.
    const stuck = { path: 'm/0/0/1', address: await custody.deriveAddress(walletId, 'm/0/0/1') };
    await pool.query('UPDATE custody.address SET address = $1, path = $2 WHERE account_id = $3', [
      stuck.address,
      stuck.path,
      accounts[1],
    ]);
    for (const ask of [
      async () => await open(false).findAddresses(chain, [stuck.address]),
      async () => await open(false).findAddresses(chain, [stranger]),
      async () =>
        await open(false).newDepositAddress({
          walletId,
          accountId: accounts[0] ?? newId('acc', clock, random),
        }),
    ])
      await expect(ask()).rejects.toMatchObject({ code: 'CUSTODY_STATEMENT_INVALID' });
  });
});

describe('the entry point', () => {
  const start = async (configFile: string, ...args: string[]) =>
    await run(process.execPath, [
      '--import',
      'tsx',
      'custody/signer/main.ts',
      '--config',
      configFile,
      ...args,
    ]).then(
      ({ stdout }) => ({ code: 0, text: stdout }),
      (error: { code: number; stderr: string }) => ({ code: error.code, text: error.stderr }),
    );

  it('prints the public keys of the committee file', async () => {
    const { text } = await start(coSigners.configFile(1), '--dev', '--print-identity');
    const { party, signingKey, encryptionKey } = coSigners.committee.members[0] ?? {};
    expect(JSON.parse(text)).toEqual({ party, signingKey, encryptionKey });
  });

  it('refuses to start what only development may have, with exit code 1', async () => {
    const file = coSigners.configFile(2);
    expect(await start(file)).toMatchObject({
      code: 1,
      text: expect.stringContaining('start it with --dev') as unknown,
    });
    const config = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
    const variant = async (changes: object) => {
      const other = `${file}.changed.json`;
      writeFileSync(other, JSON.stringify({ ...config, dataDir: 'data-other', dev: false, ...changes }));
      return await start(other);
    };
    expect(await variant({})).toMatchObject({
      code: 1,
      text: expect.stringContaining('MPC_UNAUDITED') as unknown,
    });
    expect(await variant({ keyEncryption: { plain: true } })).toMatchObject({
      code: 1,
      text: expect.stringContaining('keyEncryption.plain is for development only') as unknown,
    });
    expect(await variant({ acceptUnauditedEcdsaEngine: true })).toMatchObject({
      code: 1,
      text: expect.stringContaining('a development roster is taken with --dev only') as unknown,
    });
  }, 60_000);
});
