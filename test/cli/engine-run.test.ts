/** `strongroom engine run`: the example of its document, as a process; wrong files leave nothing. */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parseEngineConfig } from '#matching/contract';
import { plainConfig } from '#matching/csv';
import { showEngineRun } from '../../cli/commands/engine-run.ts';
import { createOutput } from '../../cli/output.ts';

const page = readFileSync('docs/operations/engine-csv.md', 'utf8');
const [commands = '', events = ''] = [...page.matchAll(/```csv\n([\s\S]*?)```/g)].map(([, block]) => block);
const hash = /with the hash `([0-9a-f]+)`/.exec(page)?.[1];

const folder = mkdtempSync(path.join(os.tmpdir(), 'engine-run-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});
let files = 0;
const newFile = (): string => path.join(folder, `${++files}.csv`);
function written(text: string): string {
  const file = newFile();
  writeFileSync(file, text);
  return file;
}

async function run(
  from: { commands: string; events: string; config?: string },
  json = false,
): Promise<string> {
  let text = '';
  await showEngineRun(
    from,
    createOutput(json, (part) => (text += part)),
  );
  return text;
}

function process(...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((resolve) => {
    const child = execFile(
      globalThis.process.execPath,
      ['--import', 'tsx', 'cli/main.ts', 'engine', 'run', ...args],
      (_error, out, err) => {
        resolve({ code: child.exitCode, out, err });
      },
    );
  });
}

describe('the document', () => {
  test('its example gives its events and its hash', async () => {
    const to = newFile();
    const shown = await run({ commands: written(commands), events: to }, true);
    expect(readFileSync(to, 'utf8')).toBe(events);
    expect(JSON.parse(shown)).toMatchObject({ file: to, commands: 16, openOrders: 0, hash });
    expect(statSync(to).mode & 0o777).toBe(0o600);
  });

  test('its configuration is the one without --config', () => {
    const text = /```json\n([\s\S]*?)```/.exec(page)?.[1] ?? '';
    expect(parseEngineConfig(JSON.parse(text))).toEqual(plainConfig);
  });
});

describe('as a process', () => {
  test('says what happened, and the same again is refused', async () => {
    const [from, to] = [written(commands), newFile()];
    const first = await process(from, '--events', to);
    expect([first.code, first.err]).toEqual([0, '']);
    expect(first.out).toContain(`wrote ${to}\n`);
    expect(first.out).toMatch(/refused: account-blocked +1\n/);
    expect(first.out).toMatch(new RegExp(`hash +${hash ?? 'none'}\n`));
    const again = await process(from, '--events', to);
    expect(again.code).toBe(1);
    expect(again.err).toContain(`CLI_FILE_INVALID: ${to} exists`);
    expect(readFileSync(to, 'utf8')).toBe(events);
  }, 60_000);

  test('a wrong line: line and column, exit code 1, nothing written', async () => {
    const to = newFile();
    const from = written(`${commands}open-account,x${','.repeat(14)}\n`);
    const { code, out, err } = await process(from, '--events', to, '--json');
    expect([code, out]).toEqual([1, '']);
    expect(JSON.parse(err)).toMatchObject({
      code: 'MATCHING_CSV_INVALID',
      message: expect.stringContaining('line 18, column account: "x" is not a whole number') as string,
    });
    expect([existsSync(to), existsSync(`${to}.part`)]).toEqual([false, false]);
  }, 60_000);
});

describe('files', () => {
  test('a configuration decides names, fees and limits', async () => {
    const market = { ...plainConfig.markets[0], id: 'ETH-USD', fees: [{ makerPpm: 0, takerPpm: 100_000 }] };
    const config = written(JSON.stringify({ ...plainConfig, markets: [market] }));
    const to = newFile();
    await run({ commands: written(commands.replaceAll('BASE-QUOTE', 'ETH-USD')), events: to, config });
    // 4 lots bought for a fee of a tenth, rounded up.
    expect(readFileSync(to, 'utf8')).toMatch(/,trade,.*,ETH-USD,.*,7,.*,1000,.*,4,.*,0,1,6,1,6,0,/);
  });

  test.each([
    [{ commands: '/nowhere.csv' }, 'CLI_FILE_INVALID', '/nowhere.csv cannot be read'],
    [{ config: '/nowhere.json' }, 'CLI_FILE_INVALID', '/nowhere.json cannot be read as JSON'],
    [{ config: written('{') }, 'CLI_FILE_INVALID', 'cannot be read as JSON'],
    [{ config: written('{}') }, 'MATCHING_CONFIG_INVALID', 'assets'],
    [{ events: '/nowhere/events.csv' }, 'CLI_FILE_INVALID', 'cannot be written'],
  ])('%#: what cannot be used', async (given, code, message) => {
    const to = newFile();
    await expect(run({ commands: written(commands), events: to, ...given })).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message) as string,
    });
    expect(existsSync(to)).toBe(false);
  });
});
