/** `strongroom ledger balance, statement, explain, verify`: what is shown, what is proven, what is no question. */
import { writeFileSync } from 'node:fs';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openPool } from '#infra/db';
import { balanceAt, explainedTransfersMax, exportHead, openHeadKey } from '#ledger';
import { type AccountRef, customerMain, transferIdOf } from '#ledger/contract';
import { showBalanceAt, showExplanation, showStatement } from '../../cli/commands/ledger-reads.ts';
import { showLedgerVerification } from '../../cli/commands/ledger-verify.ts';
import { makeHeadKey } from '../../ledger/head-key.ts';
import { accountOf, ether, post } from '../ledger/fixture.ts';
import { openWitnesses } from '../ledger/witnesses.ts';
import { closeFixtures } from '../signer/fixture.ts';
import { databaseForThisFile, superuserOf } from '../support/database.ts';
import {
  alice,
  fill,
  holdId,
  hot,
  type LedgerBench,
  openLedgerBench,
  screen,
  withdrawalId,
} from './ledger-bench.ts';

const clock = { nowMs: () => 1_790_000_000_000 };
let bench: LedgerBench;
/** Of a second ledger, to be changed behind its back. */
let tamperedUrl = '';
let superuser: pg.Client;
beforeAll(async () => {
  bench = await openLedgerBench();
  tamperedUrl = await databaseForThisFile();
  superuser = await superuserOf(tamperedUrl);
});
afterAll(async () => {
  await closeFixtures();
});

describe('balance', () => {
  test('now, after a batch, and at a time', async () => {
    const ask = async (options: Parameters<typeof showBalanceAt>[2]) => {
      const shown = screen(true);
      await showBalanceAt(bench.pool, alice, options, shown.output);
      return shown.json();
    };
    expect(await ask({})).toMatchObject({ balance: '75', available: '75' });
    expect(await ask({ batch: `${bench.heldBatch}` })).toMatchObject({
      account: alice.path,
      asset: ether,
      balance: '100',
      available: '70',
      debitsPending: '30',
      batch: `${bench.heldBatch}`,
    });
    expect(await ask({ batch: '0' })).toMatchObject({ balance: '0', recordedMs: 0 });
    expect(await ask({ time: '2020-01-01T00:00:00Z' })).toMatchObject({ balance: '0', batch: '0' });
    const { recordedMs } = await balanceAt(bench.pool, { account: alice, asOf: { batch: bench.heldBatch } });
    expect(await ask({ time: new Date(recordedMs).toISOString() })).toMatchObject({ recordedMs });
    expect(await ask({ batch: '1', full: true })).toMatchObject({ balance: '100' });
    const text = screen();
    await showBalanceAt(bench.pool, alice, { batch: '0' }, text.output);
    expect(text.text()).toContain('before the first batch');
  });

  test.each<[object, string]>([
    [{ batch: '999999' }, 'LEDGER_BATCH_UNKNOWN'],
    [{ batch: '9999999999999999999' }, 'LEDGER_QUESTION_INVALID'],
    [{ batch: '-1' }, 'CLI_OPTION_INVALID'],
    [{ batch: '1.5' }, 'CLI_OPTION_INVALID'],
    [{ time: '2026-01-31' }, 'CLI_OPTION_INVALID'],
    [{ time: '2026-01-31T12:00:00' }, 'CLI_OPTION_INVALID'],
    [{ time: '2026-13-31T12:00:00Z' }, 'CLI_OPTION_INVALID'],
    [{ time: '2026-02-29T23:59:59Z' }, 'CLI_OPTION_INVALID'],
    [{ time: 'yesterday' }, 'CLI_OPTION_INVALID'],
    [{ batch: '1', time: '2026-01-31T12:00:00Z' }, 'CLI_OPTION_INVALID'],
  ])('%j is %s', async (options, code) => {
    const { output } = screen();
    await expect(showBalanceAt(bench.pool, alice, options, output)).rejects.toMatchObject({
      code,
      whatToDo: expect.stringMatching(/\w/) as string,
    });
  });
});

test('a statement by pages, each cursor good in another process', async () => {
  const pages: { lines: { code: string; balance: string }[]; next?: string }[] = [];
  for (let cursor: string[] = []; pages.length < 3; ) {
    const { code, out } = await bench.run([
      'statement',
      alice.path,
      '--asset',
      ether,
      '--limit',
      '1',
      ...cursor,
      '--json',
    ]);
    expect(code).toBe(0);
    const page = JSON.parse(out) as (typeof pages)[number];
    pages.push(page);
    cursor = ['--cursor', page.next ?? ''];
  }
  expect(pages.flatMap(({ lines }) => lines.map((line) => [line.code, line.balance]))).toEqual([
    ['withdrawal-paid', '75'],
    ['withdrawal-hold', '100'],
    ['inflow', '100'],
  ]);
  expect(pages.map(({ next }) => next === undefined)).toEqual([false, false, true]);

  const text = screen();
  await showStatement(bench.pool, alice, { limit: 2 }, text.output);
  expect(text.lines()).toHaveLength(4);
  expect(text.text()).toMatch(/older: --cursor s1\./);
  const empty = screen();
  const bob: AccountRef = { path: customerMain(accountOf('bob')), asset: ether };
  await bench.ledger.openAccounts(bench.pool, [bob]);
  await showStatement(bench.pool, bob, { limit: 2 }, empty.output);
  expect(empty.text()).toBe('no transfers\n');
  await expect(showStatement(bench.pool, alice, { limit: 501 }, empty.output)).rejects.toMatchObject({
    code: 'LEDGER_QUESTION_INVALID',
  });
  await expect(
    showStatement(bench.pool, alice, { limit: 1, cursor: 'x' }, empty.output),
  ).rejects.toMatchObject({
    code: 'LEDGER_CURSOR_INVALID',
  });
}, 120_000);

describe('explain', () => {
  test('by id: the legs, what became of the hold, the way to the head', async () => {
    const shown = screen(true);
    expect(await showExplanation(bench.pool, holdId, {}, shown.output)).toBe(0);
    expect(shown.json()).toMatchObject({
      ok: true,
      reference: withdrawalId,
      isCut: false,
      transfers: [
        {
          transfer: { id: holdId, debit: alice.path, credit: hot, units: '30', code: 'withdrawal-hold' },
          hold: { state: 'posted', resolvedBy: { code: 'withdrawal-paid', units: '25' } },
          correctedBy: [],
          path: { batch: `${bench.heldBatch}`, upTo: { isHead: true }, problems: [] },
        },
      ],
    });
  });

  test('by reference: all of its transfers', async () => {
    const shown = screen();
    expect(await showExplanation(bench.pool, withdrawalId, {}, shown.output)).toBe(0);
    expect(shown.text()).toContain('hold posted by tr_');
    expect(shown.text()).toContain(`ends the hold ${holdId} of 30`);
    expect(shown.text()).toMatch(/batches on to the head \d+ sha256:[0-9a-f]{64}, recomputed/);
  });

  test('more of one reference than are told says so', async () => {
    const many = Array.from({ length: explainedTransfersMax + 1 }, () =>
      post(hot, alice.path, 1n, { reference: 'many' }),
    );
    await bench.ledger.apply(many);
    const shown = screen(true);
    expect(await showExplanation(bench.pool, 'many', {}, shown.output)).toBe(0);
    expect(shown.json()).toMatchObject({ isCut: true });
    const text = screen();
    await showExplanation(bench.pool, 'many', {}, text.output);
    expect(text.text()).toContain(`the first ${explainedTransfersMax} of many`);
  });

  test.each([
    [transferIdOf('x', 'y'), 'LEDGER_TRANSFER_UNKNOWN'],
    ['no-such-reference', 'LEDGER_TRANSFER_UNKNOWN'],
    ['', 'LEDGER_TRANSFER_UNKNOWN'],
    ['tr_1', 'CLI_OPTION_INVALID'],
    ['tr_', 'CLI_OPTION_INVALID'],
  ])('%s is %s', async (what, code) => {
    await expect(showExplanation(bench.pool, what, {}, screen().output)).rejects.toMatchObject({ code });
  });

  test('as a process: what is not there is an error with what to do, and exit code 1', async () => {
    const { code, out, err } = await bench.run(['explain', transferIdOf('x', 'y'), '--json']);
    expect([code, out]).toEqual([1, '']);
    expect(JSON.parse(err)).toMatchObject({
      code: 'LEDGER_TRANSFER_UNKNOWN',
      whatToDo: expect.stringContaining('refused left no transfer') as string,
    });
  }, 60_000);
});

describe('verify', () => {
  const config = (extra: object = {}) => ({ databaseUrl: '', ...extra });

  test('as a process: true, and what was not looked at is said', async () => {
    const { code, out, err } = await bench.run(['verify']);
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(/^true: \d+ accounts, \d+ transfers in \d+ batches/);
    expect(out).toContain('no signed head was looked at (--public-key)');
  }, 60_000);

  test('signed heads: proven up to one, kept by whom; of another key nothing is proven', async () => {
    const key = openHeadKey(bench.file('ledger.pem'));
    const witnesses = await openWitnesses(key.publicKey);
    writeFileSync(bench.file('committee.json'), JSON.stringify(witnesses.committee));
    await exportHead({ pool: bench.pool, key, witnesses, clock });
    await bench.ledger.apply([post(hot, alice.path, 1n)]);
    const asked = config({ ledgerPublicKey: key.publicKey, committeeFile: bench.file('committee.json') });
    const shown = screen(true);
    expect(await showLedgerVerification(bench.pool, asked, {}, shown.output)).toBe(0);
    const { head, heads } = shown.json() as { head: { batch: string }; heads: { proven: { batch: string } } };
    expect(heads).toMatchObject({
      proven: { keepers: ['co-signer 1', 'co-signer 2', 'co-signer 3', "the ledger's own record"] },
      unprovenBatches: '1',
      unread: [],
    });
    expect(BigInt(head.batch) - BigInt(heads.proven.batch)).toBe(1n);

    for (const party of [1, 2, 3]) await witnesses.stop(party);
    const alone = screen();
    expect(await showLedgerVerification(bench.pool, asked, {}, alone.output)).toBe(1);
    expect(alone.text()).toContain('exported-head: co-signers: none could be asked');
    await witnesses.close();

    writeFileSync(bench.file('other.pem'), makeHeadKey(), { mode: 0o600 });
    const other = config({ ledgerPublicKey: openHeadKey(bench.file('other.pem')).publicKey });
    const unproven = screen();
    expect(await showLedgerVerification(bench.pool, other, {}, unproven.output)).toBe(1);
    expect(unproven.text()).toContain('no head signed with this key proves any batch');
  }, 60_000);

  test('recomputed here, down to the hash of the head', async () => {
    const shown = screen(true);
    expect(await showLedgerVerification(bench.pool, config(), { recompute: true }, shown.output)).toBe(0);
    const { head, recomputed } = shown.json() as Record<'head' | 'recomputed', Record<string, string>>;
    expect(recomputed).toEqual({ batch: head['batch'], transfers: head['transfers'], hash: head['hash'] });
  });

  test('a range of batches only', async () => {
    const shown = screen(true);
    expect(await showLedgerVerification(bench.pool, config(), { from: '1', to: '2' }, shown.output)).toBe(0);
    expect(shown.json()).toMatchObject({ ok: true, checked: { fromBatch: '1', toBatch: '2' } });
  });

  test.each<[object, object]>([
    [{ from: '1' }, {}],
    [{ to: '1' }, {}],
    [{ from: '0', to: '1' }, {}],
    [{ from: '2', to: '1' }, {}],
    [{ from: '1', to: '999999' }, {}],
    [{ from: 'x', to: '1' }, {}],
    [{ from: '1', to: '1', recompute: true }, {}],
    [{}, { committeeFile: 'committee.json' }],
  ])('%j with %j is no question', async (options, extra) => {
    await expect(
      showLedgerVerification(bench.pool, config(extra), options, screen().output),
    ).rejects.toMatchObject({ code: 'CLI_OPTION_INVALID' });
  });

  test('what was changed is named, by verify and by explain', async () => {
    const own = openPool({ connectionString: tamperedUrl, applicationName: 'test-cli-tampered' });
    await fill(own);
    await superuser.query("SET session_replication_role = 'replica'"); // no triggers
    await superuser.query('UPDATE ledger.transfer SET amount = 26 WHERE seq = 3');
    const recomputed = screen();
    expect(await showLedgerVerification(own, config(), { recompute: true }, recomputed.output)).toBe(1);
    expect(recomputed.text()).toContain('batch: batch 3: its transfers are not those it was written with');
    // A person is not told a thousand times.
    await superuser.query('UPDATE ledger.transfer_id SET seq = seq + 1000');
    await superuser.query(
      `INSERT INTO ledger.transfer_id (id, seq) SELECT gen_random_uuid(), n FROM generate_series(1, 200) AS n`,
    );
    const many = screen();
    expect(await showLedgerVerification(own, config(), {}, many.output)).toBe(1);
    expect(many.lines().length).toBeLessThan(110);
    expect(many.text()).toMatch(/ {2}and \d+ more: --json/);
    await own.end();
    const url = bench.file('tampered-url');
    writeFileSync(url, tamperedUrl);
    // The option wins over the environment, in both of its forms.
    const env = { STRONGROOM_CONFIG_DATABASE_URL: bench.connectionString };
    const verified = await bench.run(['verify', '--database-url-file', url], env);
    expect([verified.code, verified.err]).toEqual([1, '']);
    expect(verified.out).toMatch(/^FALSE: \d+ problems/);
    expect(verified.out).toContain('batch: batch 3: a transfer or the order of transfers was changed');
    expect(verified.out).toContain(`balance: ${alice.path} ${ether}: stored and replayed balances differ`);
    const explained = await bench.run(['explain', withdrawalId, '--database-url-file', url]);
    expect(explained.code).toBe(1);
    expect(explained.out).toContain('FALSE: the transfers of batch 3 are not those it was written with');
  }, 60_000);
});
