/** Events: each once, in order, without a gap, while several writers commit and consumers come and go. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { inTransaction, openPool, type Pool } from '#infra/db';
import {
  createLedger,
  eventsPerPortionMax,
  explain,
  exportJournal,
  exportStatement,
  followEvents,
  type Ledger,
  readEvents,
  readEventsOfCodes,
} from '#ledger';
import { chainHot, customerMain, type Transfer } from '#ledger/contract';
import { databaseForThisFile } from '../support/database.ts';
import { accountOf, ether, pending, post, postPending, walletOf } from './fixture.ts';

let pool: Pool;
let ledger: Ledger;
const hot = chainHot(walletOf('events'));
const customers = [1, 2, 3, 4].map((n) => customerMain(accountOf(`events ${n}`)));
const alice = customerMain(accountOf('events 1'));
beforeAll(async () => {
  pool = openPool({ connectionString: await databaseForThisFile(), applicationName: 'test-events' });
  ledger = createLedger({ pool });
  await ledger.openAccounts(
    pool,
    [hot, ...customers].map((path) => ({ path, asset: ether })),
  );
});
afterAll(async () => {
  await pool.end();
});

const headSeq = async (): Promise<bigint> => {
  const { rows } = await pool.query<{ last_seq: string }>('SELECT last_seq FROM ledger.head');
  return BigInt(rows[0]?.last_seq ?? 0);
};

/** A process that writes on its own connections, some of it in transactions that are rolled back. */
async function write(rounds: number, seed: number): Promise<string[]> {
  const own = createLedger({ pool });
  const written: string[] = [];
  for (let round = 0; round < rounds; round++) {
    const commands = customers.slice(0, 1 + ((round + seed) % 4)).map((path) => post(hot, path, 1n));
    if ((round + seed) % 5 === 0) {
      const failed = new Error('taken back');
      await inTransaction(pool, async (tx) => {
        await own.apply(commands, tx);
        throw failed;
      }).catch((error: unknown) => expect(error).toBe(failed));
      continue;
    }
    await own.apply(commands);
    written.push(...commands.map(({ id }) => id));
  }
  return written;
}

/** Deals with events and keeps its position with them; killed after some portions, it starts again from what it kept. */
async function consume(
  kept: Transfer[],
  life: { readonly portions: number; readonly limit: number; readonly signal: AbortSignal },
): Promise<void> {
  let portions = life.portions;
  const { limit, signal } = life;
  for await (const events of followEvents(pool, { after: kept.at(-1)?.seq ?? 0n, limit, signal })) {
    portions -= 1;
    if (portions === 0) return; // killed before it could keep what it was given
    kept.push(...events);
  }
}

test('no gap and no change of order under concurrent writers, for a consumer that is killed again and again', {
  timeout: 60_000,
}, async () => {
  const start = await headSeq();
  const kept: Transfer[] = [];
  const done = new AbortController();
  const writing = Promise.all([0, 1, 2, 3].map((seed) => write(40, seed))).finally(() => done.abort());
  let lives = 0;
  for (; !done.signal.aborted; lives++)
    await consume(kept, { portions: 2 + (lives % 7), limit: 1 + (lives % 23), signal: done.signal });
  const written = (await writing).flat();
  for (const end = await headSeq(); (kept.at(-1)?.seq ?? 0n) < end; )
    kept.push(...(await readEvents(pool, { after: kept.at(-1)?.seq ?? 0n })));
  expect(lives).toBeGreaterThan(3);
  expect(kept.map(({ seq }) => seq)).toEqual(kept.map((_, at) => BigInt(at) + 1n));
  const seen = kept.filter(({ seq }) => seq > start).map(({ id }) => id);
  expect(seen.length).toBe(written.length);
  expect(new Set(seen)).toEqual(new Set(written));
  expect(await ledger.verify()).toEqual({ ok: true, problems: [] });
});

test('what is not committed is not seen, and nothing after it either', async () => {
  const before = await headSeq();
  let later: Promise<unknown> | undefined;
  await inTransaction(pool, async (tx) => {
    await ledger.apply([post(hot, alice, 1n)], tx);
    later = ledger.apply([post(hot, alice, 2n)]);
    expect(await readEvents(pool, { after: before })).toEqual([]);
  });
  await later;
  expect((await readEvents(pool, { after: before })).map(({ amount }) => amount.units)).toEqual([1n, 2n]);
});

test('a follower waits for what comes, and ends when it is told to', async () => {
  const before = await headSeq();
  const stopping = new AbortController();
  const events = followEvents(pool, { after: before, signal: stopping.signal });
  const waiting = events.next();
  await ledger.apply([post(hot, alice, 7n)]);
  expect((await waiting).value).toMatchObject([{ seq: before + 1n, amount: { units: 7n } }]);
  const idle = events.next();
  stopping.abort();
  expect((await idle).done).toBe(true);
});

test('positions that are none, and a journal older than its consumer', async () => {
  const head = await headSeq();
  for (const query of [
    { after: -1n },
    { after: 2n ** 63n },
    { after: 0n, limit: 0 },
    { after: 0n, limit: 1.5 },
    { after: 0n, limit: eventsPerPortionMax + 1 },
  ])
    await expect(readEvents(pool, query)).rejects.toMatchObject({ code: 'LEDGER_QUESTION_INVALID' });
  expect(await readEvents(pool, { after: head })).toEqual([]);
  await expect(readEvents(pool, { after: head + 1n })).rejects.toMatchObject({ code: 'LEDGER_CURSOR_AHEAD' });
});

test('a consumer of few codes is given those alone, and told how far it came', async () => {
  const after = await headSeq();
  const fee = { code: 'fee' } as const;
  await ledger.apply([post(hot, alice, 1n), { ...post(hot, alice, 2n), ...fee }, post(hot, alice, 3n)]);
  const codes = ['fee'] as const;
  const { events, upTo } = await readEventsOfCodes(pool, { after, codes });
  expect(events.map(({ amount, code }) => [amount.units, code])).toEqual([[2n, 'fee']]);
  expect(upTo).toBe(after + 3n);
  expect(await readEventsOfCodes(pool, { after: upTo, codes })).toEqual({ events: [], upTo });
  await ledger.apply([post(hot, alice, 4n)]);
  expect(await readEventsOfCodes(pool, { after: upTo, codes })).toEqual({ events: [], upTo: upTo + 1n });
  for (const query of [{ after: -1n }, { after: 2n ** 63n }])
    await expect(readEventsOfCodes(pool, { ...query, codes })).rejects.toMatchObject({
      code: 'LEDGER_QUESTION_INVALID',
    });
  await expect(readEventsOfCodes(pool, { after: upTo + 2n, codes })).rejects.toMatchObject({
    code: 'LEDGER_CURSOR_AHEAD',
  });
});

test('a portion of few codes that is full ends at its last event, and the next goes on there', async () => {
  const after = await headSeq();
  const many = Array.from({ length: eventsPerPortionMax + 1 }, () => ({
    ...post(hot, alice, 1n),
    code: 'fee' as const,
  }));
  await ledger.apply([...many, post(hot, alice, 1n)]);
  const first = await readEventsOfCodes(pool, { after, codes: ['fee'] });
  expect([first.events.length, first.upTo - after]).toEqual([
    eventsPerPortionMax,
    BigInt(eventsPerPortionMax),
  ]);
  const second = await readEventsOfCodes(pool, { after: first.upTo, codes: ['fee'] });
  expect([second.events.length, second.upTo - after]).toEqual([1, BigInt(many.length) + 1n]);
});

const text = async (parts: AsyncIterable<string>): Promise<string> => {
  let all = '';
  for await (const part of parts) all += part;
  return all;
};

/** RFC 4180 read back, written as plainly as possible. */
function parseCsv(csv: string): string[][] {
  const rows: string[][] = [[]];
  const cell = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|$)/gy;
  for (let match = cell.exec(csv); match !== null && match[0] !== ''; match = cell.exec(csv)) {
    rows.at(-1)?.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '');
    if (match[3] === '\r\n') rows.push([]);
  }
  return rows.filter((row) => row.length > 0);
}

test('exports are complete, exact and no formula', async () => {
  const evil = ['=1+1', '+1', '-1', '@SUM(A1)', 'a,b', 'say"so"', '"', "'=", 'a;=1+1', 'a;";-1;b', 'a;b-c'];
  const from = (await headSeq()) + 1n;
  await ledger.apply(evil.map((reference) => post(hot, alice, 10n ** 30n, { reference })));
  const hold = pending(alice, hot, 5n, { timeoutMs: 60_000, at: 1_700_000_000_000 });
  await ledger.apply([hold, postPending(hold.id, 3n)]);

  const [head = [], ...rows] = parseCsv(await text(exportJournal(pool, { from }, 'csv')));
  const column = (name: string) => rows.map((row) => row[head.indexOf(name)]);
  expect(rows.every((row) => row.length === head.length)).toBe(true);
  expect(column('reference').slice(0, evil.length)).toEqual([
    "'=1+1",
    "'+1",
    "'-1",
    "'@SUM(A1)",
    'a,b',
    'say"so"',
    '"',
    "'=",
    // A spreadsheet with semicolons between cells sees what follows one as a cell.
    "a;'=1+1",
    `a;";'-1;b`,
    'a;b-c',
  ]);
  expect(column('units')[0]).toBe('1000000000000000000000000000000');
  expect(column('seq')).toEqual(rows.map((_, at) => (from + BigInt(at)).toString()));
  const [heldAt, paidAt] = [evil.length, evil.length + 1];
  expect([column('timeoutMs')[heldAt], column('atMs')[heldAt], column('pendingId')[paidAt]]).toEqual([
    '60000',
    '1700000000000',
    hold.id,
  ]);

  const lines = (await text(exportJournal(pool, { from, to: from + BigInt(evil.length) - 1n }, 'jsonl')))
    .trimEnd()
    .split('\n');
  expect(lines.map((line) => (JSON.parse(line) as { reference: string }).reference)).toEqual(evil);
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    units: (10n ** 30n).toString(),
    debit: hot,
    credit: alice,
    seq: from.toString(),
  });

  const [names = [], ...statement] = parseCsv(
    await text(exportStatement(pool, { path: hot, asset: ether }, 'csv')),
  );
  expect(statement.length).toBeGreaterThan(evil.length);
  // The hot mirror's balance goes down by what is paid: a number, not a formula to defuse.
  expect(statement[0]?.[names.indexOf('change')]).toBe('-3');
  expect(statement.at(-1)?.[names.indexOf('balance')]).toBe(statement.at(-1)?.[names.indexOf('change')]);
});

test('a transfer that was booked by SQL under another version of UUID does not stop the stream', async () => {
  const after = await headSeq();
  const id = 'c7a1d3f0-5b1c-4c52-9d53-2f6d3c1b0a99'; // version 4, as gen_random_uuid() makes them
  await pool.query(`SELECT ledger.transfer_one($1, 'post', $2, $3, $4, 1, 'inflow', 'by-hand')`, [
    id,
    hot,
    alice,
    ether,
  ]);
  await ledger.apply([post(hot, alice, 1n)]);
  expect((await readEvents(pool, { after })).map((event) => event.id)[0]).toBe(`tr_${id}`);
  expect(await text(exportJournal(pool, { from: after + 1n }, 'jsonl'))).toContain(id);
  const [explained] = await explain(pool, { id: `tr_${id}` });
  expect(explained?.transfer).toMatchObject({ reference: 'by-hand', debit: hot });
});

test('more transfers than one portion are exported in one piece', async () => {
  const from = (await headSeq()) + 1n;
  const count = eventsPerPortionMax * 2 + 3;
  await ledger.apply(Array.from({ length: count }, () => post(hot, alice, 1n)));
  const seqs = (await text(exportJournal(pool, { from }, 'jsonl')))
    .trimEnd()
    .split('\n')
    .map((line) => BigInt((JSON.parse(line) as { seq: string }).seq));
  expect(seqs).toEqual(Array.from({ length: count }, (_, at) => from + BigInt(at)));
  expect(await text(exportJournal(pool, { from: from + BigInt(count) }, 'jsonl'))).toBe('');
  expect(() => exportJournal(pool, { from: 0n }, 'csv')).toThrow(/no range/);
  expect(() => exportJournal(pool, { from: 5n, to: 4n }, 'csv')).toThrow(/no range/);
});
