import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPool, type Pool } from '#infra/db';
import { createLedger } from '#ledger';
import { customerMain, suspense } from '#ledger/contract';
import type { SignedStatement } from '#ledger/liabilities';
import {
  proveLiability,
  publishLiabilities,
  showBundleAudit,
  showLiabilityVerification,
} from '../../../cli/commands/liabilities.ts';
import { createOutput } from '../../../cli/output.ts';
import { makeHeadKey, openHeadKey } from '../../../ledger/head-key.ts';
import { databaseForThisFile } from '../../support/database.ts';
import { accountOf, ether, post, walletOf } from '../fixture.ts';
import { testKey } from './made-snapshot.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'strongroom-liabilities-'));
const file = (name: string): string => path.join(folder, name);
writeFileSync(file('ledger.pem'), makeHeadKey(), { mode: 0o600 });
const key = openHeadKey(file('ledger.pem'));
let pool: Pool;
let written = '';
const text = createOutput(false, (line) => (written += line));
const json = createOutput(true, (line) => (written += line));

beforeAll(async () => {
  pool = openPool({ connectionString: await databaseForThisFile(), applicationName: 'liabilities-cli-test' });
  const ledger = createLedger({ pool });
  const paths = [suspense(walletOf(1)), customerMain(accountOf(1)), customerMain(accountOf(2))] as const;
  await ledger.openAccounts(
    pool,
    paths.map((path) => ({ path, asset: ether })),
  );
  await ledger.apply([post(paths[0], paths[1], 40n), post(paths[0], paths[2], 2n)]);
});
afterAll(async () => {
  await pool.end();
  rmSync(folder, { recursive: true });
});

test('publish, prove, verify and audit, as a person would', async () => {
  const ports = {
    pool,
    signer: key,
    clock: { nowMs: () => 1_750_000_000_000 },
    random: { bytes: (length: number) => randomBytes(length) },
  };
  await publishLiabilities(ports, { out: file('statement.json'), bundle: file('bundle.jsonl') }, text);
  expect(written).toContain('statement 1');
  const signed = JSON.parse(readFileSync(file('statement.json'), 'utf8')) as SignedStatement;
  expect(signed.statement.trees).toMatchObject([{ asset: ether, leafCount: 2, total: '42' }]);
  expect(statSync(file('bundle.jsonl')).mode & 0o077).toBe(0);

  await proveLiability(pool, { account: accountOf(1), asset: ether, out: file('proof.json') }, text);
  expect(statSync(file('proof.json')).mode & 0o077).toBe(0);

  const expected = { publicKey: key.publicKey, account: accountOf(1), asset: ether, balance: '40' };
  written = '';
  expect(showLiabilityVerification(file('proof.json'), expected, text)).toBe(0);
  expect(written).toContain('part of the 42');
  written = '';
  expect(showLiabilityVerification(file('proof.json'), { ...expected, balance: '41' }, json)).toBe(1);
  expect(JSON.parse(written)).toMatchObject({ ok: false, reason: 'wrong-balance' });

  written = '';
  expect(await showBundleAudit(file('bundle.jsonl'), { publicKey: key.publicKey }, text)).toBe(0);
  expect(written).toContain('2 leaves');
  expect(await showBundleAudit(file('bundle.jsonl'), { publicKey: testKey().publicKey }, text)).toBe(1);
  writeFileSync(
    file('cut.jsonl'),
    readFileSync(file('bundle.jsonl'), 'utf8').split('\n').slice(0, -2).join('\n'),
  );
  written = '';
  expect(await showBundleAudit(file('cut.jsonl'), { publicKey: key.publicKey }, json)).toBe(1);
  expect(JSON.parse(written)).toMatchObject({ ok: false, reason: 'wrong-count' });
});

test('a file that is not there is named', async () => {
  const options = { publicKey: key.publicKey };
  await expect(showBundleAudit(file('none'), options, text)).rejects.toMatchObject({
    code: 'CLI_FILE_INVALID',
  });
  expect(() =>
    showLiabilityVerification(file('none'), { ...options, account: '', asset: '', balance: '' }, text),
  ).toThrow(expect.objectContaining({ code: 'CLI_FILE_INVALID' }) as Error);
});
