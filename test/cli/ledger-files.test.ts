/** `strongroom ledger import, export, events`: files and streams, and what happens when one of them ends early. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Writable } from 'node:stream';
import { beforeAll, describe, expect, test } from 'vitest';
import { assetId } from '#core/money';
import { type AccountRef, customerMain, hotInflow } from '#ledger/contract';
import { exportFile, importFile, showEvents } from '../../cli/commands/ledger-files.ts';
import { accountOf, eth, ether, walletOf } from '../ledger/fixture.ts';
import {
  alice,
  commandLine,
  type LedgerBench,
  linesOf,
  openLedgerBench,
  screen,
  transferLine,
} from './ledger-bench.ts';

let bench: LedgerBench;
beforeAll(async () => {
  bench = await openLedgerBench();
});

describe('import', () => {
  test('as a process: a result per line and a summary; the same again changes nothing', async () => {
    const carol = customerMain(accountOf('carol'));
    writeFileSync(
      bench.file('good.jsonl'),
      linesOf([
        { type: 'account', account: carol, asset: ether },
        { type: 'account', account: 'house:suspense', asset: ether },
        { type: 'opening', account: carol, asset: ether, units: '12', reference: 'cli/1' },
        transferLine('3', { credit: carol }),
      ]),
    );
    const first = await bench.run(['import', bench.file('good.jsonl'), '--json']);
    expect([first.code, first.err]).toEqual([0, '']);
    const results = first.out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(results.slice(0, 4)).toMatchObject([1, 2, 3, 4].map((line) => ({ line, status: 'ok' })));
    expect(results[4]).toEqual({ summary: { lines: 4, ok: 4, exists: 0, failed: 0, stopped: false } });
    const second = await bench.run(['import', bench.file('good.jsonl')]);
    expect([second.code, second.out]).toEqual([0, '0 imported, 4 were there before, 0 not imported\n']);
    const [balance] = await bench.ledger.balances({ paths: [carol] });
    expect(balance?.balance).toBe(15n);
  }, 60_000);

  test('the example of the document', async () => {
    const page = readFileSync('docs/operations/ledger-commands.md', 'utf8');
    writeFileSync(bench.file('example.jsonl'), /```jsonl\n([\s\S]*?)```/.exec(page)?.[1] ?? '');
    const shown = screen();
    expect(
      await importFile(bench.pool, bench.file('example.jsonl'), { strict: true }, shown.output, shown.to),
    ).toBe(0);
    expect(shown.text()).toBe('7 imported, 0 were there before, 0 not imported\n');
    const balances = await bench.ledger.balances({ asset: assetId('ledger:gold') });
    expect(balances.map(({ balance }) => balance)).toEqual([70n, 20n, -90n]);
  });

  test('lines that cannot be used are told one by one; strict imports nothing then', async () => {
    const good = transferLine('1');
    writeFileSync(bench.file('mixed.jsonl'), `${linesOf([good])}{oops\n${linesOf([transferLine('-1')])}`);
    const before = await bench.balance();
    const strict = screen();
    expect(
      await importFile(bench.pool, bench.file('mixed.jsonl'), { strict: true }, strict.output, strict.to),
    ).toBe(1);
    expect(strict.lines()).toEqual([
      'line 2: malformed: the line is not JSON',
      expect.stringMatching(/^line 3: malformed tr_\S+: units: .*whole number/),
      '0 imported, 0 were there before, 2 not imported; stopped before the end of the file',
    ]);
    expect(await bench.balance()).toBe(before);
    const shown = screen(true);
    expect(await importFile(bench.pool, bench.file('mixed.jsonl'), {}, shown.output, shown.to)).toBe(1);
    expect(shown.lines().map((line) => JSON.parse(line) as object)).toMatchObject([
      { line: 1, status: 'ok', id: good.id },
      { line: 2, status: 'malformed' },
      { line: 3, status: 'malformed' },
      { summary: { ok: 1, failed: 2 } },
    ]);
    expect(await bench.balance()).toBe(before + 1n);
  });

  test('no file, a folder, and what strict could not read twice', async () => {
    const code = 'CLI_FILE_INVALID';
    const folder = path.dirname(bench.file('x'));
    for (const [name, options] of [
      [bench.file('none'), {}],
      [bench.file('none'), { strict: true }],
      [folder, {}],
      [folder, { strict: true }],
      ['/dev/null', { strict: true }],
    ] as const) {
      const { output, to } = screen();
      await expect(importFile(bench.pool, name, options, output, to)).rejects.toMatchObject({ code });
    }
  });

  test('who stops reading the results does not stop the import', async () => {
    const lines = Array.from({ length: 3_000 }, () => transferLine('1'));
    writeFileSync(bench.file('long.jsonl'), linesOf(lines));
    const before = await bench.balance();
    const broken = (code: string) =>
      new Writable({
        write: (_chunk, _encoding, done) => {
          done(Object.assign(new Error(`write ${code}`), { code }));
        },
      });
    const { output } = screen(true);
    expect(await importFile(bench.pool, bench.file('long.jsonl'), {}, output, broken('EPIPE'))).toBe(0);
    expect(await bench.balance()).toBe(before + 3_000n);
    // Nobody reading is a choice; results that were lost are not.
    await expect(
      importFile(bench.pool, bench.file('long.jsonl'), {}, output, broken('ENOSPC')),
    ).rejects.toThrow('ENOSPC');
  });
});

describe('export', () => {
  test('the journal and a statement, as JSON lines and CSV', async () => {
    const journal = screen();
    await exportFile(bench.pool, { format: 'jsonl', from: 1n, to: 3n }, journal.output, journal.to);
    expect(journal.lines().map((line) => (JSON.parse(line) as { seq: string }).seq)).toEqual(['1', '2', '3']);
    const { code, out } = await bench.run([
      'export',
      '--format',
      'csv',
      '--account',
      alice.path,
      '--asset',
      ether,
    ]);
    expect(code).toBe(0);
    const rows = out.trimEnd().split('\r\n');
    expect(rows[0]).toMatch(/^seq,recordedMs,.*,balance,available,/);
    expect(rows.at(-1)).toMatch(/^1,.*,100,100,100,100,tr_/);
  }, 60_000);

  test('to a file of its owner only; never in place of another, and whole or not at all', async () => {
    const out = bench.file('journal.jsonl');
    const shown = screen();
    await exportFile(bench.pool, { format: 'jsonl', out }, shown.output, shown.to);
    expect(shown.text()).toBe(`wrote ${out}\n`);
    expect(statSync(out).mode & 0o777).toBe(0o600);
    const written = readFileSync(out, 'utf8');
    expect(written.trimEnd().split('\n').length).toBeGreaterThan(3_000);
    expect(existsSync(`${out}.part`)).toBe(false);

    const again = await bench.run(['export', '--out', out]);
    expect(again).toMatchObject({ code: 1, out: '' });
    expect(again.err).toMatch(/^CLI_FILE_INVALID: .*journal\.jsonl exists.*\n\w/);
    expect(readFileSync(out, 'utf8')).toBe(written);

    writeFileSync(`${bench.file('busy')}.part`, '');
    const refused = async (name: string, options: object = {}) => {
      const { output, to } = screen();
      await exportFile(bench.pool, { format: 'csv', out: name, ...options }, output, to);
    };
    await expect(refused(bench.file('busy'))).rejects.toMatchObject({ code: 'CLI_FILE_INVALID' });
    await expect(refused(bench.file('nowhere/x'))).rejects.toMatchObject({ code: 'CLI_FILE_INVALID' });
    const unknown: AccountRef = { path: customerMain(accountOf('nobody')), asset: ether };
    await expect(refused(bench.file('unknown'), { account: unknown })).rejects.toMatchObject({
      code: 'LEDGER_UNKNOWN_ACCOUNT',
    });
    expect([existsSync(bench.file('unknown')), existsSync(`${bench.file('unknown')}.part`)]).toEqual([
      false,
      false,
    ]);
  }, 60_000);

  test('options that do not go together', async () => {
    const { output, to } = screen();
    await expect(
      exportFile(bench.pool, { format: 'csv', account: alice, from: 1n }, output, to),
    ).rejects.toMatchObject({ code: 'CLI_OPTION_INVALID' });
    await expect(exportFile(bench.pool, { format: 'csv', from: 0n }, output, to)).rejects.toMatchObject({
      code: 'LEDGER_QUESTION_INVALID',
    });
  });
});

describe('events', () => {
  test('those after one, and no more than asked for', async () => {
    const shown = screen();
    await showEvents(bench.pool, { after: 1n, limit: 2 }, shown.to);
    expect(shown.lines().map((line) => JSON.parse(line) as object)).toMatchObject([
      { seq: '2', code: 'withdrawal-hold' },
      { seq: '3', code: 'withdrawal-paid' },
    ]);
    await expect(showEvents(bench.pool, { after: 10n ** 9n }, shown.to)).rejects.toMatchObject({
      code: 'LEDGER_CURSOR_AHEAD',
    });
    await expect(showEvents(bench.pool, { after: 0n, limit: 1_001 }, shown.to)).rejects.toMatchObject({
      code: 'LEDGER_QUESTION_INVALID',
    });
  });

  test('as a process that follows: what comes is told, and a signal ends it in good order', async () => {
    const { rows } = await bench.pool.query<{ last_seq: string }>('SELECT last_seq FROM ledger.head');
    const after = rows[0]?.last_seq ?? '0';
    const child = execFile(process.execPath, commandLine('events', '--after', after, '--follow'), {
      env: { PATH: process.env['PATH'], STRONGROOM_CONFIG_DATABASE_URL: bench.connectionString },
    });
    const [inflow] = hotInflow({ inflow: 'eip155:1/0xab/0', walletId: walletOf('cli'), amount: eth(1n) });
    await bench.ledger.openAccounts(bench.pool, [{ path: `suspense:${walletOf('cli')}`, asset: ether }]);
    if (inflow !== undefined) await bench.ledger.apply([inflow]);
    const [told] = (await once(child.stdout as NonNullable<typeof child.stdout>, 'data')) as [string];
    expect(JSON.parse(told)).toMatchObject({ reference: 'eip155:1/0xab/0', units: '1' });
    child.kill('SIGINT');
    expect(await once(child, 'exit')).toEqual([0, null]);
  }, 60_000);
});
