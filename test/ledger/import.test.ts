/** Imports of JSON lines: a result per line, nothing half done, and the same again changes nothing. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPool, type Pool } from '#infra/db';
import { createLedger, type ImportResult, type ImportSummary, importLines, type Ledger } from '#ledger';
import { chainHot, commandsPerBatchMax, customerMain } from '#ledger/contract';
import { lineBytesMax, textLines } from '../../ledger/import/lines.ts';
import { databaseForThisFile } from '../support/database.ts';
import { accountOf, ether, freshId, walletOf } from './fixture.ts';

let pool: Pool;
let ledger: Ledger;
beforeAll(async () => {
  pool = openPool({ connectionString: await databaseForThisFile(), applicationName: 'test-import' });
  ledger = createLedger({ pool });
});
afterAll(async () => {
  await pool.end();
});

type Line = Readonly<Record<string, unknown>> | string;
const bytesOf = (lines: readonly Line[]): Buffer =>
  Buffer.from(lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'));

async function run(
  lines: readonly Line[] | Uint8Array,
  options: { strict?: boolean; chunkBytes?: number } = {},
): Promise<{ results: ImportResult[]; summary: ImportSummary; statuses: string[] }> {
  const bytes = lines instanceof Uint8Array ? lines : bytesOf(lines);
  const { chunkBytes = 1024, ...rest } = options;
  async function* open() {
    for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
  }
  const results: ImportResult[] = [];
  const imported = importLines({ pool, ledger }, open, rest);
  for (;;) {
    const next = await imported.next();
    if (next.done === true)
      return { results, summary: next.value, statuses: results.map(({ status }) => status) };
    results.push(next.value);
  }
}

let made = 0;
function party(): {
  path: ReturnType<typeof customerMain>;
  hot: ReturnType<typeof chainHot>;
  open: Line[];
  name: string;
} {
  const name = `import ${++made}`;
  const [path, hot] = [customerMain(accountOf(name)), chainHot(walletOf(name))];
  return {
    name: name.replace(' ', '-'),
    path,
    hot,
    open: [path, hot].map((account) => ({ type: 'account', account, asset: ether })),
  };
}
const move = (debit: string, credit: string, units: string, extra: object = {}) => ({
  type: 'transfer',
  kind: 'post',
  id: freshId(),
  debit,
  credit,
  asset: ether,
  units,
  code: 'inflow',
  reference: 'import',
  ...extra,
});
const balanceOf = async (path: string): Promise<bigint | undefined> =>
  (await ledger.balances({ pathPrefix: path }))[0]?.balance;

test('accounts, opening balances and transfers of every kind; twice is once', async () => {
  const { path, hot, open, name } = party();
  const [held, released] = [freshId(), freshId()];
  const lines: Line[] = [
    ...open,
    { type: 'account', account: 'house:suspense', asset: ether },
    '',
    { type: 'opening', account: path, asset: ether, units: '100', reference: `${name}/1` },
    {
      type: 'opening',
      account: hot,
      asset: ether,
      units: '100',
      reference: `${name}/2`,
      atMs: 1_600_000_000_000,
    },
    move(path, hot, '40', { id: held, kind: 'pending', timeoutMs: 60_000, code: 'withdrawal-hold' }),
    {
      type: 'transfer',
      kind: 'post-pending',
      id: freshId(),
      pendingId: held,
      asset: ether,
      units: '30',
      code: 'withdrawal-paid',
      reference: name,
    },
    move(path, hot, '5', { id: released, kind: 'pending', code: 'withdrawal-hold' }),
    {
      type: 'transfer',
      kind: 'void-pending',
      id: freshId(),
      pendingId: released,
      code: 'withdrawal-released',
      reference: name,
    },
  ];
  const first = await run(lines);
  expect(first.statuses).toEqual(Array.from({ length: 9 }, () => 'ok'));
  expect(first.results.map(({ line }) => line)).toEqual([1, 2, 3, 5, 6, 7, 8, 9, 10]);
  expect(first.summary).toEqual({ lines: 9, ok: 9, exists: 0, failed: 0, stopped: false });
  expect(await balanceOf(path)).toBe(70n);
  expect(await balanceOf(hot)).toBe(70n);

  const second = await run(lines);
  expect(second.summary).toEqual({ lines: 9, ok: 0, exists: 9, failed: 0, stopped: false });
  expect(await balanceOf(path)).toBe(70n);
  const changed = await run([
    { type: 'opening', account: path, asset: ether, units: '101', reference: `${name}/1` },
  ]);
  expect(changed.results).toMatchObject([
    { status: 'conflict', type: 'opening', reason: expect.stringContaining('other content') as string },
  ]);
});

test('each bad line is named with its reason, and the others are applied', async () => {
  const { path, hot, open } = party();
  const good = move(hot, path, '10');
  const bad: readonly (readonly [Line, RegExp])[] = [
    ['{', /not JSON/],
    ['[]', /expected object|Invalid input/],
    ['null', /expected object|Invalid input/],
    [{ type: 'transfers' }, /type/],
    [move(hot, path, '10', { units: 10 }), /units: /],
    [move(hot, path, '-1'), /units: .*whole number of base units/],
    [move(hot, path, '1e3'), /units: /],
    [move(hot, path, '1'.repeat(79)), /units: .*78 digits/],
    [move(hot, 'customer:nobody:main', '1'), /credit: .*is not the path/],
    [move(hot, path, '1', { asset: 'ETH' }), /asset: .*not an asset id/],
    [move(hot, path, '1', { id: 'tr_1' }), /id: tr_ followed by a UUID/],
    [move(hot, path, '1', { code: 'gift' }), /code: /],
    [move(hot, path, '1', { reference: 'a b' }), /reference: .*printable ASCII/],
    [move(hot, path, '1', { amount: '2' }), /amount/],
    [move(hot, path, '1', { timeoutMs: 5 }), /timeoutMs/],
    [move(hot, path, '1', { kind: 'expire-pending' }), /kind: /],
    [move(hot, path, '1', { atMs: 1.5 }), /atMs: /],
    [
      { type: 'opening', account: path, asset: ether, units: '1', reference: 'x', against: path },
      /against: house:suspense/,
    ],
    [
      {
        type: 'opening',
        account: 'house:equity',
        asset: ether,
        units: '1',
        reference: 'x',
        against: 'house:equity',
      },
      /another account/,
    ],
    [`{"type":"account","account":"${path}","x":"${'y'.repeat(lineBytesMax)}"}`, /longer than/],
  ];
  const { results, summary } = await run([...open, ...bad.map(([line]) => line), good]);
  for (const [at, [, reason]] of bad.entries())
    expect(results[at + 2]).toMatchObject({
      line: at + 3,
      status: 'malformed',
      reason: expect.stringMatching(reason) as string,
    });
  expect(results.at(-1)).toEqual({ line: bad.length + 3, type: 'transfer', id: good.id, status: 'ok' });
  expect(summary).toMatchObject({ ok: 3, failed: bad.length });
  expect(await balanceOf(path)).toBe(10n);
});

test('what the ledger refuses is told as it tells it', async () => {
  const { path, hot, open } = party();
  const { results } = await run([
    ...open,
    move(path, hot, '1'),
    move(hot, customerMain(accountOf('never opened')), '1'),
    move(hot, path, '0'),
    move(hot, path, '1', { code: 'adjustment' }),
    {
      type: 'transfer',
      kind: 'void-pending',
      id: freshId(),
      pendingId: freshId(),
      code: 'withdrawal-released',
      reference: 'x',
    },
  ]);
  expect(results.slice(2).map(({ status }) => status)).toEqual([
    'insufficient',
    'unknown-account',
    'invalid',
    'not-approved',
    'pending-not-found',
  ]);
  expect(results[2]?.reason).toContain(path);
  expect(results.slice(2).every(({ reason = '' }) => reason.length > 10)).toBe(true);
});

test('a chain is applied whole or not at all, wherever its bad line stands', async () => {
  const { path, hot, open } = party();
  await run(open);
  const linked = () => move(hot, path, '1', { linked: true });
  const last = () => move(hot, path, '1');
  const garbage = '{"linked": true, nonsense';
  const cases: readonly (readonly [readonly Line[], readonly string[]])[] = [
    [
      [linked(), linked(), last()],
      ['ok', 'ok', 'ok'],
    ],
    [
      [linked(), move(path, hot, '999'), last()],
      ['linked-failed', 'insufficient', 'ok'],
    ],
    [
      [linked(), garbage, last(), last()],
      ['linked-failed', 'malformed', 'linked-failed', 'ok'],
    ],
    [
      [garbage, linked(), last(), last()],
      ['malformed', 'linked-failed', 'linked-failed', 'ok'],
    ],
    [
      [linked(), 'garbage', last()],
      ['linked-failed', 'malformed', 'ok'],
    ],
    [
      [linked(), move(hot, path, 'x', { linked: true }), last()],
      ['linked-failed', 'malformed', 'linked-failed'],
    ],
    [
      [linked(), ...open, last()],
      ['ok', 'exists', 'exists', 'ok'],
    ],
    [
      [last(), linked()],
      ['ok', 'invalid'],
    ],
  ];
  for (const [lines, statuses] of cases) expect((await run(lines)).statuses).toEqual(statuses);
});

test('a chain longer than a batch is refused whole, in bounded pieces', { timeout: 60_000 }, async () => {
  const { path, hot, open } = party();
  const chain = (length: number) =>
    Array.from({ length }, (_, at) => move(hot, path, '1', at < length - 1 ? { linked: true } : {}));
  const fits = await run([...open, ...chain(commandsPerBatchMax)], { chunkBytes: 65_536 });
  expect(fits.summary).toMatchObject({ ok: commandsPerBatchMax + 2, failed: 0 });
  for (const length of [commandsPerBatchMax + 1, commandsPerBatchMax * 2 + 5]) {
    const { summary, statuses } = await run([...chain(length), move(hot, path, '1')], { chunkBytes: 65_536 });
    expect(new Set(statuses.slice(0, -1))).toEqual(new Set(['chain-too-long']));
    expect(summary).toMatchObject({ ok: 1, failed: length });
  }
  expect(await balanceOf(path)).toBe(BigInt(commandsPerBatchMax + 2));
});

test('strict: a malformed line anywhere, and nothing is applied', async () => {
  const { path, hot, open } = party();
  const { results, summary } = await run([...open, move(hot, path, '1'), 'oops'], { strict: true });
  expect(results).toMatchObject([{ line: 4, status: 'malformed' }]);
  expect(summary).toEqual({ lines: 1, ok: 0, exists: 0, failed: 1, stopped: true });
  expect(await balanceOf(path)).toBeUndefined();
});

test('strict: a portion with a refused line is taken back, and none after it is begun', {
  timeout: 60_000,
}, async () => {
  const { path, hot, open } = party();
  const first = Array.from({ length: 1_998 }, () => move(hot, path, '1'));
  const [again] = first;
  const second = [again ?? '', move(hot, path, '1'), move(path, hot, '999999'), move(hot, path, '1')];
  const file = [...open, ...first, ...second, ...Array.from({ length: 2_000 }, () => move(hot, path, '1'))];
  const { results, summary } = await run(file, { strict: true, chunkBytes: 65_536 });
  expect(summary).toMatchObject({ ok: 2_000, exists: 1, stopped: true });
  expect(results.slice(2_000, 2_004).map(({ status }) => status)).toEqual([
    'exists',
    'not-applied',
    'insufficient',
    'not-applied',
  ]);
  expect(results.length).toBe(4_000);
  expect(await balanceOf(path)).toBe(1_998n);
});

test('lines are found whatever the pieces the file comes in', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc
          .string({ unit: 'grapheme', maxLength: 40 })
          .map((s) => s.replaceAll('\n', ' ').replace(/^\uFEFF/, '')),
        { minLength: 1 },
      ),
      fc.integer({ min: 1, max: 16 }),
      async (lines, chunkBytes) => {
        const bytes = Buffer.from(`\uFEFF${lines.join('\n')}`);
        async function* chunks() {
          for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
        }
        const found: string[] = [];
        for await (const { text = '?' } of textLines(chunks())) found.push(text);
        expect(found).toEqual(lines.at(-1) === '' && lines.length > 1 ? lines.slice(0, -1) : lines);
      },
    ),
  );
});

test('bytes that are no text, and a line without an end, cost one line each', async () => {
  const { open } = party();
  const bytes = Buffer.concat([
    bytesOf([...open, '']),
    Buffer.from([0xff, 0xfe, 0x0a]),
    Buffer.alloc(lineBytesMax * 20, 'x'),
    Buffer.from('\r\n\n'),
    bytesOf(open),
  ]);
  const { results } = await run(bytes);
  expect(results.map(({ line, status }) => [line, status])).toEqual([
    [1, 'ok'],
    [2, 'ok'],
    [3, 'malformed'],
    [4, 'malformed'],
    [6, 'exists'],
    [7, 'exists'],
  ]);
  expect(results[2]?.reason).toMatch(/UTF-8/);
});
