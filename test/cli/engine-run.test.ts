/** `strongroom engine run`: the example of its document, as a process; wrong files leave nothing. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
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

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}
const process = (...args: string[]): Promise<Ended> => processReading('', ...args);
function processReading(input: string, ...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const child = execFile(
      globalThis.process.execPath,
      ['--import', 'tsx', 'cli/main.ts', 'engine', 'run', ...args],
      (_error, out, err) => {
        resolve({ code: child.exitCode, out, err });
      },
    );
    child.stdin?.end(input);
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

describe('from another program', () => {
  test('- reads standard input', async () => {
    const to = newFile();
    const { code, err, out } = await processReading(commands, '-', '--events', to);
    expect([code, err]).toEqual([0, '']);
    expect(out).toContain(hash);
    expect(readFileSync(to, 'utf8')).toBe(events);
  }, 60_000);

  test('one that is ended leaves no file under the name, and says what to do about the part of it', async () => {
    const to = newFile();
    const child = spawn(
      globalThis.process.execPath,
      ['--import', 'tsx', 'cli/main.ts', 'engine', 'run', '-', '--events', to],
      { stdio: ['pipe', 'ignore', 'inherit'] },
    );
    child.stdin.write(commands);
    while (!existsSync(`${to}.part`)) await delay(20);
    child.kill('SIGTERM');
    await once(child, 'exit');
    expect(existsSync(to)).toBe(false);
    await expect(run({ commands: written(commands), events: to })).rejects.toMatchObject({
      code: 'CLI_FILE_INVALID',
      message: expect.stringContaining(`${to}.part exists`) as string,
    });
    rmSync(`${to}.part`);
    await run({ commands: written(commands), events: to });
    expect(readFileSync(to, 'utf8')).toBe(events);
  }, 60_000);
});

test('a disk that is full: the file is named, nothing is left', async () => {
  const to = newFile();
  const orders = `place,2,,,BASE-QUOTE,buy,limit,950,1${','.repeat(7)}\n`.repeat(20_000);
  const from = written(commands.replace('place', `${orders}place`));
  // No file of more than 1 MiB.
  const limited = 'ulimit -f 1024; exec "$0" --import tsx cli/main.ts engine run "$@"';
  const { code, err } = await new Promise<Ended>((resolve) => {
    const args = ['-c', limited, globalThis.process.execPath, from, '--events', to];
    const child = execFile('bash', args, (_error, out, text) => {
      resolve({ code: child.exitCode, out, err: text });
    });
  });
  expect(err).toMatch(`CLI_FILE_INVALID: ${to} cannot be written: EFBIG`);
  expect(code).toBe(1);
  expect([existsSync(to), existsSync(`${to}.part`)]).toEqual([false, false]);
}, 60_000);

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
    [{ events: os.tmpdir() }, 'CLI_FILE_INVALID', `${os.tmpdir()} exists`],
    [{ commands: os.tmpdir() }, 'CLI_FILE_INVALID', `${os.tmpdir()} cannot be read`],
    [{ events: '-' }, 'CLI_OPTION_INVALID', 'events go to a file'],
  ])('%#: what cannot be used', async (given, code, message) => {
    const to = newFile();
    await expect(run({ commands: written(commands), events: to, ...given })).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message) as string,
    });
    expect(existsSync(to)).toBe(false);
  });
});
