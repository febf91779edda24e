/** Commands as CSV through an engine: the same as feeding it directly, in parts of any size, and wrong lines are named. */
import { stringify } from 'csv-stringify/sync';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type CommandBody,
  commandBytes,
  commandSlots,
  eventKinds,
  marketStates,
  orderTypes,
  parseEngineConfig,
  selfTradeModes,
  sides,
  timesInForce,
  writeCommand,
} from '#matching/contract';
import { commandColumns, type EngineRun, eventColumns, plainConfig, runCommands } from '#matching/csv';
import { createEngine } from '../../../matching/engine/index.ts';

const market = 'BASE-QUOTE';
/** Small, because each test makes engines. */
const config = parseEngineConfig({
  ...plainConfig,
  markets: plainConfig.markets.map((each) => ({ ...each, maxPrice: 1_000 })),
  ordersMax: 64,
  accountsMax: 8,
  limits: { openOrders: 64, ordersPerSecond: 0 },
  clientIdsKept: 16,
});

async function* bytesOf(text: string, chunkBytes = 65_536): AsyncGenerator<Uint8Array, void> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
}

async function runText(text: string, chunkBytes?: number): Promise<{ events: string; run: EngineRun }> {
  const parts = runCommands(bytesOf(text, chunkBytes), config);
  let events = '';
  for (;;) {
    const next = await parts.next();
    if (next.done === true) return { events, run: next.value };
    events += next.value;
  }
}

type Cells = Partial<Record<(typeof commandColumns)[number], string | number | bigint | boolean>>;
const csvOf = (rows: readonly Cells[]): string =>
  stringify([[...commandColumns], ...rows.map((row) => commandColumns.map((column) => row[column]))], {
    cast: { boolean: String },
  });

/** As objects with the cells that are not empty. */
function eventRows(text: string): Record<string, string>[] {
  const [first = '', ...rows] = text.trimEnd().split('\n');
  const header = first.split(',');
  const lines = rows.map((line) => line.split(','));
  return lines.map((cells) =>
    Object.fromEntries(
      header.map((name, at): [string, string] => [name, cells[at] ?? '']).filter(([, cell]) => cell !== ''),
    ),
  );
}

const start: readonly Cells[] = [
  { kind: 'open-account', account: 1 },
  { kind: 'open-account', account: 2 },
  ...[1, 2].flatMap((account) =>
    ['base', 'quote'].map((asset) => ({ kind: 'credit', account, asset, units: 10_000_000n })),
  ),
];
const limit = (account: number, side: string, price: number, lots: number, extra: Cells = {}): Cells => ({
  kind: 'place',
  account,
  market,
  side,
  type: 'limit',
  price,
  lots,
  ...extra,
});

describe('events', () => {
  test('all kinds, each field under its name', async () => {
    const { events, run } = await runText(
      csvOf([
        ...start,
        limit(1, 'sell', 100, 10, { clientOrderId: 2n ** 64n - 1n, displayLots: 4 }),
        limit(2, 'buy', 100, 3, { timeMs: 1_700_000_000_000 }),
        limit(1, 'buy', 100, 2, { selfTrade: 'decrement', timeInForce: 'ioc' }),
        { kind: 'amend', account: 1, clientOrderId: 2n ** 64n - 1n, lots: 6 },
        { kind: 'place', account: 2, market, side: 'buy', type: 'stop', triggerPrice: 101, budget: 500 },
        limit(1, 'sell', 101, 1),
        limit(2, 'buy', 101, 10),
        { kind: 'cancel', account: 2, orderId: 13 },
        limit(3, 'buy', 1, 1),
        { kind: 'cancel-all', account: 2 },
        { kind: 'debit', account: 1, asset: 'base', units: 5n },
        { kind: 'set-account', account: 2, blocked: true, feeTier: 0 },
        { kind: 'set-band', market, low: 50, high: 200 },
        { kind: 'set-market', market, state: 'auction' },
      ]),
    );
    const rows = eventRows(events);
    expect(new Set(rows.map(({ kind }) => kind))).toEqual(new Set(eventKinds));
    expect(rows.length).toBe(run.events);
    const first = (kind: string) => rows.find((row) => row['kind'] === kind);
    expect(first('accepted')).toEqual({
      seq: '7',
      index: '0',
      kind: 'accepted',
      account: '1',
      market,
      order: '7',
      clientOrderId: '18446744073709551615',
      side: 'sell',
      type: 'limit',
      price: '100',
      triggerPrice: '0',
      lots: '10',
      budget: '0',
    });
    expect(first('trade')).toEqual({
      seq: '8',
      index: '1',
      kind: 'trade',
      timeMs: '1700000000000',
      account: '2',
      market,
      order: '8',
      side: 'buy',
      price: '100',
      lots: '3',
      rest: '0',
      fee: '0',
      makerOrder: '7',
      makerAccount: '1',
      makerRest: '7',
      makerFee: '0',
      auction: 'false',
    });
    expect(first('decremented')).toMatchObject({
      order: '9',
      rest: '1',
      makerOrder: '7',
      makerRest: '6',
      lots: '1',
    });
    expect(first('rested')).toMatchObject({ order: '7', rest: '10', visible: '4' });
    expect(first('credited')).toMatchObject({
      account: '1',
      asset: 'base',
      units: '10000000',
      position: '1',
    });
    expect(first('account-set')).toMatchObject({ account: '2', blocked: 'true', feeTier: '0' });
    expect(first('rejected')).toMatchObject({ reason: 'unknown-account', account: '3', market });
    expect(run).toMatchObject({ commands: 20, refusals: { 'unknown-account': 1 } });
  });

  test('an id that would end its cell stands in quotes', async () => {
    const assets = [
      { id: 'gold, "fine"', unitExponent: 0 },
      { id: 'dollar', unitExponent: 0 },
    ];
    const text = `kind,account,asset,units
open-account,1,,
credit,1,"gold, ""fine""",5
credit,1,dollar,6
`;
    let events = '';
    for await (const part of runCommands(bytesOf(text), { ...config, assets })) events += part;
    const credits = events.split('\n').slice(2, 4);
    expect(credits.map((line) => line.slice(0, 38))).toEqual([
      '2,0,credited,,,1,,"gold, ""fine""",5,1',
      '3,0,credited,,,1,,dollar,6,2,,,,,,,,,,',
    ]);
  });

  test('the columns are those of the header', async () => {
    const { events } = await runText('kind\n');
    expect(events).toBe(`${eventColumns.join(',')}\n`);
  });
});

// ---------------------------------------------------------------- the same as without CSV

const small = fc.integer({ min: -1, max: 6 });
const price = fc.integer({ min: 95, max: 105 });
const orNone = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const fields = {
  account: fc.integer({ min: 0, max: 3 }),
  units: fc.bigInt({ min: -5n, max: 5_000n }),
  market: fc.constant(0),
  side: fc.constantFrom(...sides),
  lots: fc.integer({ min: 0, max: 20 }),
};
const body = fc.oneof(
  fc.record({
    kind: fc.constant('place' as const),
    account: fields.account,
    market: fields.market,
    side: fields.side,
    type: fc.constantFrom(...orderTypes),
    timeInForce: fc.constantFrom(...timesInForce),
    postOnly: fc.boolean(),
    price: orNone(price),
    triggerPrice: orNone(price),
    lots: orNone(fields.lots),
    budget: orNone(fc.integer({ min: -1, max: 3_000 })),
    selfTrade: orNone(fc.constantFrom(...selfTradeModes)),
    clientOrderId: orNone(fc.bigInt({ min: 0n, max: 4n })),
  }),
  fc.record({
    kind: fc.constant('amend' as const),
    account: fields.account,
    orderId: fc.integer({ min: 1, max: 40 }),
    price: orNone(price),
    lots: orNone(fields.lots),
  }),
  fc.record({
    kind: fc.constant('cancel' as const),
    account: fields.account,
    clientOrderId: fc.bigInt({ min: 0n, max: 4n }),
  }),
  fc.record({
    kind: fc.constant('cancel-all' as const),
    account: fields.account,
    market: orNone(fields.market),
  }),
  fc.record({
    kind: fc.constantFrom('credit' as const, 'debit' as const),
    account: fields.account,
    asset: fc.constantFrom(0, 1),
    units: fields.units,
    position: small,
  }),
  fc.record({ kind: fc.constant('open-account' as const), account: small }),
  fc.record({
    kind: fc.constant('set-account' as const),
    account: small,
    blocked: fc.boolean(),
    feeTier: small,
  }),
  fc.record({
    kind: fc.constant('set-market' as const),
    market: fields.market,
    state: fc.constantFrom(...marketStates),
  }),
  fc.record({ kind: fc.constant('set-band' as const), market: fields.market, low: price, high: price }),
);

type Body = typeof body extends fc.Arbitrary<infer T> ? T : never;

/** Names for numbers, as a person would write them. */
function cellsOf(command: Body): Cells {
  const named = {
    ...command,
    ...('market' in command && command.market !== undefined ? { market } : {}),
    ...('asset' in command ? { asset: config.assets[command.asset]?.id } : {}),
  };
  return Object.fromEntries(
    Object.entries(named).filter(([name]) => !(name === 'position' && command.kind === 'debit')),
  );
}

test('gives the hash that the engine has when it is fed directly', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(body, { minLength: 1, maxLength: 60 }), async (bodies) => {
      const engine = createEngine(config);
      const slot = commandSlots(new ArrayBuffer(commandBytes));
      let events = 0;
      for (const [at, command] of bodies.entries()) {
        writeCommand(slot, 0, { ...(command as CommandBody), seq: at + 1, timeMs: 0 });
        events += engine.submit(slot, 0);
      }
      const { run } = await runText(csvOf(bodies.map(cellsOf)));
      expect(run).toMatchObject({ commands: bodies.length, events, hash: engine.stateHash() });
    }),
    { numRuns: 60 },
  );
});

// ---------------------------------------------------------------- streams

describe('parts', () => {
  test('however the input is cut', async () => {
    const text = `\ufeff${csvOf([...start, limit(1, 'sell', 100, 10), limit(2, 'buy', 100, 3)]).replaceAll('\n', '\r\n')}\r\n`;
    const whole = await runText(text);
    for (const chunkBytes of [1, 2, 7]) expect(await runText(text, chunkBytes)).toEqual(whole);
  });

  test('lines may end in each of the ways, also in one file, and the lines are counted', async () => {
    const wanted = await runText('kind,account\nopen-account,1\nopen-account,2\nopen-account,3\n');
    for (const text of [
      'kind,account\r\nopen-account,1\nopen-account,2\ropen-account,3',
      'kind,account\nopen-account,1\r\n\r\n"open-account","2"\r\n \t \nopen-account, 3 \n\n',
    ])
      for (const chunkBytes of [1, 100]) expect(await runText(text, chunkBytes)).toEqual(wanted);
    const wrong = 'kind,account\r\n\r\nopen-account,1\nopen-account,2\ropen-account,x';
    await expect(runText(wrong, 1)).rejects.toThrow('line 5, column account: "x"');
  });

  test('numbers may have leading zeros, and minus 0 is 0', async () => {
    const cells = { kind: 'place', account: 1, market, side: 'buy', type: 'limit', price: 100, lots: 5 };
    const plain = await runText(csvOf([...start, { ...cells, displayLots: 0, clientOrderId: 7 }]));
    const zeros = { displayLots: '-0', clientOrderId: '0007', price: '0100', lots: '05' };
    expect(await runText(csvOf([...start, { ...cells, ...zeros }]))).toEqual(plain);
    expect(plain.events).toContain(',rested,');
  });

  test('of one command with many events are as small as those of many commands', async () => {
    const many = { ...config, ordersMax: 4_000, limits: { openOrders: 4_000, ordersPerSecond: 0 } };
    const orders = Array.from({ length: 3_000 }, () => limit(1, 'buy', 1, 1));
    const input = bytesOf(csvOf([...start, ...orders, { kind: 'cancel-all', account: 1 }]));
    let lines = 0;
    for await (const part of runCommands(input, many)) {
      const count = part.split('\n').length - 1;
      expect(count).toBeLessThanOrEqual(512);
      lines += count;
    }
    // The header, the start, two for each order, one for each cancelled, and how many these were.
    expect(lines).toBe(1 + start.length + 3_000 * 3 + 1);
  });

  test('come while the input goes on without an end, which is read no further than needed', async () => {
    let sent = 0;
    async function* endless(): AsyncGenerator<Uint8Array, void> {
      yield Buffer.from(csvOf(start));
      const row = csvOf([limit(1, 'sell', 100, 1), limit(2, 'buy', 100, 1)]);
      const lines = Buffer.from(row.slice(row.indexOf('\n') + 1).repeat(50));
      for (;;) {
        sent += 100;
        yield lines;
      }
    }
    let events = 0;
    for await (const part of runCommands(endless(), config)) {
      events += part.split('\n').length - 1;
      if (events > 20_000) break;
    }
    // 2.5 events per command, and what waits in the buffers of the streams.
    expect(sent).toBeLessThan(20_000);
  });
});

// ---------------------------------------------------------------- wrong files

describe('refuses', () => {
  const good = 'kind,account,market,side,type,price,lots,budget,displayLots,postOnly,seq,timeMs,asset,units';
  const line = (cells: string): string => cells + ','.repeat(13 - (cells.match(/,/g)?.length ?? 0));
  test.each([
    ['', 'line 1: the file is empty'],
    ['account\n1', 'line 1, column kind: missing'],
    ['kind,prize\n', 'line 1, column prize: no such column; there are seq, timeMs, kind'],
    ['kind,lots,lots\n', 'line 1, column lots: stands twice'],
    [`${good}\n${line('open-account,1')}\nopen-account,2`, 'line 3: 2 cells where the header has 14 columns'],
    [
      `${good}\n${line('open-account,one')}`,
      'line 2, column account: "one" is not a whole number from -2147483648',
    ],
    [`${good}\n${line('open-account,1.5')}`, 'line 2, column account: "1.5" is not a whole number'],
    [`${good}\n${line('open-account')}`, 'line 2, column account: empty; the open-account command needs it'],
    [`${good}\n\n${line('buy,1')}`, 'line 3, column kind: "buy" is not one of open-account, credit'],
    [`${good}\n${line(',1')}`, 'line 2, column kind: empty'],
    [`${good}\n${line('place,1,ETH-USD')}`, 'line 2, column type: empty; the place command needs it'],
    [
      `${good}\n${line('place,1,ETH-USD,buy,limit,1,1')}`,
      'line 2, column market: "ETH-USD" is not one of the configuration\'s markets',
    ],
    [
      `${good}\n${line('place,1,BASE-QUOTE,bid,limit,1,1')}`,
      'line 2, column side: "bid" is not one of buy, sell',
    ],
    [
      `${good}\n${line('place,1,BASE-QUOTE,buy,limit,1,9007199254740992')}`,
      'line 2, column lots: "9007199254740992" is not',
    ],
    [
      `${good}\n${line('place,1,BASE-QUOTE,buy,limit,1,1,,,yes')}`,
      'line 2, column postOnly: "yes" is not true or false',
    ],
    [
      `${good}\n${line('place,1,BASE-QUOTE,buy,limit,1,9,5,5')}`,
      'line 2, column budget: an order has displayLots or a budget',
    ],
    [
      `${good}\n${line('open-account,1,BASE-QUOTE')}`,
      'line 2, column market: the open-account command has no such field',
    ],
    [`${good}\n${line('open-account,1,,,,,,,,,2')}`, 'line 2, column seq: 2 where 1 comes'],
    [`${good}\n${line('open-account,1,,,,,,,,,,-5')}`, 'line 2, column timeMs: "-5" is not'],
    [
      `${good}\ncredit,1,,,,,,,,,,,base,9223372036854775808`,
      'line 2, column units: "9223372036854775808" is not',
    ],
    [`${good}\n${line('open-account,"1')}`, /^line 2: a quote that is not closed/],
    [
      `${good}\n${line('open-account,1')}\n${line('open-account,"2')}\n${`${line('open-account,3')}\n`.repeat(300)}`,
      /^line 3: more than 4096 characters, or a quote that is not closed/,
    ],
    [`${good}\nopen-account,"1"x${','.repeat(12)}`, /^line 2, column account: .*[Qq]uote/],
    [`${good}\n${'9'.repeat(5_000)}`, /^line 2: more than 4096 characters/],
    ['kind,account,\nopen-account,1,', 'line 1: a column without a name'],
    ['kind;account\nopen-account;1', 'line 1: "kind;account" is one cell: cells end with a comma'],
    ['kind\taccount\nopen-account\t1', 'line 1: "kind\\taccount" is one cell'],
    ['\n\nkind,prize\n', 'line 3, column prize: no such column'],
    ['kind,account\n,\n', 'line 2, column kind: empty; each line needs it'],
    ['kind\nopen-account', 'line 2, column account: empty; the open-account command needs it'],
    // What a terminal would obey.
    ['kind,account\nopen-account,"\u001b[31m\n"', 'line 3, column account: "\\u001b[31m\\n" is not'],
    ['kind,account,lots\namend,1,3', 'line 2, column orderId: empty, and clientOrderId too'],
    ['kind,account,order\ncancel,1,3', 'line 1, column order: no such column'],
    ['kind,account\ncancel,1', 'line 2, column orderId: empty, and clientOrderId too'],
    [
      'kind,account,timeMs\nopen-account,1,1700000000000000000',
      'line 2, column timeMs: "1700000000000000000"',
    ],
    ...['1e3', '+5', '5.0', '0x10', '1_000', '"1,000"', '5 5', 'NaN', '-', '٣'].map(
      (units): [string, RegExp] => [
        `kind,account,asset,units\ncredit,1,base,${units}`,
        /^line 2, column units: ".*" is not a whole number from -9223372036854775808/,
      ],
    ),
    ['kind,account,asset,units\ncredit,1,base,1,000', 'line 2: 5 cells where the header has 4 columns'],
  ])('%#: %s', async (text, message) => {
    await expect(runText(text)).rejects.toMatchObject({
      code: 'MATCHING_CSV_INVALID',
      message: (typeof message === 'string'
        ? expect.stringContaining(message)
        : expect.stringMatching(message)) as string,
    });
  });

  test('the first of two wrong lines, also where what comes later is no CSV', async () => {
    const text = 'kind,account\nopen-account,1\nopen-account,x\nopen-account,"2';
    for (const chunkBytes of [1, 100])
      await expect(runText(text, chunkBytes)).rejects.toThrow('line 3, column account: "x"');
  });

  test('what the engine refuses is an event', async () => {
    const { events, run } = await runText(
      csvOf([...start, limit(1, 'sell', 100, -3), limit(1, 'buy', 0, 1)]),
    );
    expect(run.refusals).toEqual({ 'invalid-lots': 1, 'invalid-order': 1 });
    expect(eventRows(events).at(-1)).toMatchObject({
      seq: '8',
      kind: 'rejected',
      reason: 'invalid-order',
      account: '1',
    });
  });

  test('an input that breaks off', async () => {
    async function* broken(): AsyncGenerator<Uint8Array, void> {
      yield Buffer.from('kind,account\nopen-account,1\n');
      throw new Error('the disk is gone');
    }
    const parts = runCommands(broken(), config);
    await expect(
      (async () => {
        for await (const part of parts) expect(part).not.toBe('');
      })(),
    ).rejects.toThrow('the disk is gone');
  });
});
