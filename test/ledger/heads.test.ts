/** Signed heads against the real database and real co-signers: what they find that the chain alone does not. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openPool, type Pool } from '#infra/db';
import { createLedger, type Ledger } from '#ledger';
import {
  chainHot,
  customerMain,
  type HeadsHeld,
  type HeadWitnesses,
  type SignedHead,
} from '#ledger/contract';
import { verifyAllHeads } from '../../ledger/all-heads.ts';
import { checkAgainstHeads, verifyHeads } from '../../ledger/head-check.ts';
import { exportHead, type HeadExport } from '../../ledger/head-export.ts';
import { type HeadKey, makeHeadKey, openHeadKey } from '../../ledger/head-key.ts';
import { headsReadMax } from '../../ledger/heads.ts';
import { closeFixtures, temporaryFolder } from '../signer/fixture.ts';
import { databaseForThisFile } from '../support/database.ts';
import { askForServer } from '../support/servers.ts';
import { accountOf, ether, post, walletOf } from './fixture.ts';
import { openWitnesses, type Witnesses } from './witnesses.ts';

const hot = chainHot(walletOf('w'));
const alice = customerMain(accountOf('alice'));
const bob = customerMain(accountOf('bob'));

let pool: Pool;
let ledger: Ledger;
let superuser: pg.Client;
/** All but the record of exports; a copy as they are in a new ledger lies in the schema at_first. */
let tables: string[];
let key: HeadKey;
let witnesses: Witnesses;
let nowMs = 1_790_000_000_000;
const clock = { nowMs: () => ++nowMs };

function newKey(): HeadKey {
  const file = join(temporaryFolder(), 'ledger.pem');
  writeFileSync(file, makeHeadKey(), { mode: 0o600 });
  return openHeadKey(file);
}

/** Someone who got past every guard of the database. */
async function tamper(statement: string, values: unknown[] = []): Promise<void> {
  await superuser.query("SET session_replication_role = 'replica'"); // no triggers
  await superuser.query(statement, values);
  await superuser.query("SET session_replication_role = 'origin'");
}

/** Everything the ledger was ever told is gone, as if it had just been made; own records of exports stay. */
async function wipe(): Promise<void> {
  await tamper(`TRUNCATE ${tables.map((table) => `ledger.${table}`).join(', ')} RESTART IDENTITY`);
  for (const table of tables)
    await tamper(`INSERT INTO ledger.${table} OVERRIDING SYSTEM VALUE SELECT * FROM at_first.${table}`);
  ledger = createLedger({ pool });
  await ledger.openAccounts(
    pool,
    [hot, alice, bob].map((path) => ({ path, asset: ether })),
  );
}

/** Makes the chain whole again after a batch was changed: what somebody who can write everything would do. */
async function rehash(): Promise<void> {
  const { rows } = await superuser.query<{ columns: string }>(
    `SELECT array_to_string(array(SELECT CASE name WHEN 'accounts_hash'
              THEN '(SELECT a.hash FROM ledger.account AS a WHERE a.id = b.accounts)' ELSE 'b.' || name END
              FROM unnest(proargnames) AS name), ', ') AS columns
       FROM pg_proc WHERE oid = 'ledger.batch_hash'::regproc`,
  );
  await tamper(`DO $$ DECLARE n bigint; BEGIN
    FOR n IN SELECT no FROM ledger.batch ORDER BY no LOOP
      UPDATE ledger.batch SET prev_hash = (SELECT hash FROM ledger.batch WHERE no = n - 1) WHERE no = n AND n > 1;
      UPDATE ledger.batch AS b SET hash = ledger.batch_hash(${rows[0]?.columns ?? ''}) WHERE b.no = n;
    END LOOP;
    UPDATE ledger.head SET (hash, recorded_ms) = (SELECT hash, recorded_ms FROM ledger.batch ORDER BY no DESC LIMIT 1);
  END $$`);
}

const moves = async (...units: bigint[]): Promise<void> => {
  for (const amount of units) await ledger.apply([post(hot, alice, amount)]);
};
const publishing = async (to: HeadWitnesses = witnesses): Promise<HeadExport> =>
  await exportHead({ pool, key, witnesses: to, clock });
async function exported(to?: HeadWitnesses): Promise<Extract<HeadExport, { state: 'exported' }>> {
  const result = await publishing(to);
  if (result.state !== 'exported') throw new Error('nothing was exported');
  return result;
}
const checkingAll = async (of: Pick<HeadWitnesses, 'read'> = witnesses) =>
  await verifyAllHeads(pool, { publicKey: key.publicKey, witnesses: of });
const checking = async () => await verifyHeads(pool, { publicKey: key.publicKey, witnesses });
const at = (head: SignedHead): string => new Date(head.statement.signedMs).toISOString();
const everybody = "co-signer 1, co-signer 2, co-signer 3, the ledger's own record";

beforeAll(async () => {
  const connectionString = await databaseForThisFile();
  pool = openPool({ connectionString, applicationName: 'test-ledger-heads' });
  ledger = createLedger({ pool });
  const { adminUrl = '' } = await askForServer('cluster');
  const admin = new URL(adminUrl);
  admin.pathname = new URL(connectionString).pathname;
  superuser = new pg.Client({ connectionString: admin.href });
  await superuser.connect();
  const { rows } = await superuser.query<{ name: string }>(
    `SELECT c.relname AS name FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
      WHERE n.nspname = 'ledger' AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> 'exported_head'`,
  );
  tables = rows.map(({ name }) => name);
  await superuser.query('CREATE SCHEMA at_first');
  for (const table of tables)
    await superuser.query(`CREATE TABLE at_first.${table} AS SELECT * FROM ledger.${table}`);
});
beforeEach(async () => {
  await wipe();
  key = newKey();
  witnesses = await openWitnesses(key.publicKey);
});
afterEach(async () => {
  await witnesses.close();
  await closeFixtures();
});
afterAll(async () => {
  await superuser.end();
  await pool.end();
});

describe('an export', () => {
  test('of a ledger without batches is nothing', async () => {
    expect(await publishing()).toEqual({ state: 'empty' });
    expect(await checking()).toEqual({ problems: [], unprovenBatches: 0n, unread: [] });
  });

  test('signs the newest batch, and every co-signer records it', async () => {
    await moves(1n, 2n, 3n);
    const { head, isNew, answers } = await exported();
    const { rows } = await pool.query<{ recorded_ms: string; hash: Buffer }>(
      'SELECT recorded_ms, hash FROM ledger.batch WHERE no = 3',
    );
    expect(isNew).toBe(true);
    expect(head.statement).toMatchObject({
      ledger: key.ledger,
      batch: '3',
      lastSeq: '3',
      hash: `sha256:${rows[0]?.hash.toString('hex') ?? ''}`,
      recordedMs: Number.parseInt(rows[0]?.recorded_ms ?? '', 10),
    });
    expect(answers.map(({ party, state }) => [party, state])).toEqual([
      [1, 'recorded'],
      [2, 'recorded'],
      [3, 'recorded'],
    ]);
    await moves(4n, 5n);
    expect(await checking()).toEqual({
      problems: [],
      proven: { batch: 3n, signedMs: head.statement.signedMs, keepers: everybody.split(', ') },
      unprovenBatches: 2n,
      unread: [],
    });
  });

  test('of the same head publishes the same statement; of a later one it follows', async () => {
    await moves(1n);
    const first = await exported();
    const again = await exported();
    expect(again).toEqual({ ...first, isNew: false });
    await moves(2n);
    const next = await exported();
    expect(next.answers).toEqual(
      [1, 2, 3].map(
        (party) => expect.objectContaining({ party, state: 'recorded', previous: first.head }) as unknown,
      ),
    );
    expect(
      witnesses
        .fixture(2)
        .coSigner.ledgerHeads.newest(9)
        .map(({ head }) => head),
    ).toEqual([next.head, first.head]);
  });

  test('from many processes at once signs one head', async () => {
    await moves(1n);
    const results = await Promise.all(Array.from({ length: 6 }, async () => await exported()));
    expect(results.filter(({ isNew }) => isNew)).toHaveLength(1);
    expect(new Set(results.map(({ head }) => head.signature)).size).toBe(1);
  });

  test('while others write never contradicts itself', async () => {
    const writing = moves(...Array.from({ length: 25 }, (_, n) => BigInt(n + 1)));
    const exports = Array.from({ length: 4 }, async () => {
      for (let n = 0; n < 5; n++) await publishing();
    });
    await Promise.all([writing, ...exports]);
    expect((await exported()).head.statement.batch).toBe('25');
    expect(await checking()).toMatchObject({ problems: [], unprovenBatches: 0n });
  });

  test('names the co-signer that did not take it, and brings it up to date later', async () => {
    await moves(1n);
    await witnesses.stop(2);
    const { answers } = await exported();
    expect(answers.map(({ state }) => state)).toEqual(['recorded', 'failed', 'recorded']);
    expect(answers[1]).toMatchObject({ party: 2, code: 'CUSTODY_SIGNER_UNREACHABLE' });
    expect((await checking()).unread).toEqual([expect.stringContaining('co-signer 2')]);
    await witnesses.restart(2);
    expect((await exported()).answers.map(({ state }) => state)).toEqual([
      'recorded',
      'recorded',
      'recorded',
    ]);
    expect((await checking()).proven?.keepers).toEqual(everybody.split(', '));
  });

  test('with a key the co-signers have not pinned is refused by all of them', async () => {
    await moves(1n);
    const { answers } = await exportHead({ pool, key: newKey(), witnesses, clock }).then((result) =>
      result.state === 'exported' ? result : { answers: [] },
    );
    expect(answers).toEqual(
      [1, 2, 3].map(
        (party) =>
          expect.objectContaining({
            party,
            state: 'refused',
            code: 'CUSTODY_LEDGER_HEAD_REFUSED',
          }) as unknown,
      ),
    );
  });

  test('is append-only in the database', async () => {
    await moves(1n);
    await exported();
    for (const statement of [
      'UPDATE ledger.exported_head SET signed_ms = 0',
      'DELETE FROM ledger.exported_head',
      'TRUNCATE ledger.exported_head',
    ]) {
      await expect(pool.query(statement)).rejects.toMatchObject({ code: '42501' }); // the suite may not
      await expect(superuser.query(statement)).rejects.toMatchObject({ code: 'LG001' }); // nobody may
    }
  });
});

describe('a co-signer', () => {
  test('keeps its newest head over a restart, and its log verifies', async () => {
    await moves(1n);
    const { head } = await exported();
    await witnesses.restart(1);
    const { coSigner } = witnesses.fixture(1);
    coSigner.decisionLog.verify();
    expect(coSigner.ledgerHeads.newest(1)[0]?.head).toEqual(head);
    expect(await checking()).toMatchObject({ problems: [], unread: [] });
  });
});

/** Every way to a ledger that is consistent in itself and is not the exported one. */
const rewrites: [string, () => Promise<void>, { readonly place: string; readonly problem: RegExp }][] = [
  [
    'a whole history told again with other amounts',
    async () => {
      await wipe();
      await moves(1n, 200n, 3n);
    },
    { place: 'batch 3', problem: /^was changed \(hash, recorded_ms\) after/ },
  ],
  [
    'a longer history told again',
    async () => {
      await wipe();
      await moves(1n, 200n, 3n, 4n, 5n);
    },
    { place: 'batch 3', problem: /^was changed \(hash, recorded_ms\) after/ },
  ],
  [
    'a history with the batches cut otherwise',
    async () => {
      await wipe();
      await ledger.apply([post(hot, alice, 1n), post(hot, alice, 2n)]);
      await moves(3n, 4n);
    },
    { place: 'batch 3', problem: /^was changed \(hash, last_seq, recorded_ms\) after/ },
  ],
  [
    'the newest batches cut off',
    async () => {
      await wipe();
      await moves(1n, 2n);
    },
    { place: 'batch 2', problem: /^batches after 2 are missing: batch 3 was exported at/ },
  ],
  ['everything cut off', wipe, { place: 'batch 1', problem: /^all batches are missing: batch 3 was/ }],
  [
    'older batches dated back, and every hash made anew',
    async () => {
      await tamper('UPDATE ledger.batch SET recorded_ms = recorded_ms - 86400000 WHERE no < 3');
      await rehash();
    },
    { place: 'batch 3', problem: /^was changed \(hash\) after/ },
  ],
];

describe.each(rewrites)('%s', (_title, rewrite, expected) => {
  let head: SignedHead;
  beforeEach(async () => {
    await moves(1n, 2n, 3n);
    ({ head } = await exported());
  });

  test('is found by the heads, though the chain alone is whole', async () => {
    await rewrite();
    expect(await ledger.verify()).toMatchObject({ ok: true, problems: [] });
    const { problems } = await checking();
    expect(problems).toEqual([
      {
        check: 'exported-head',
        place: expected.place,
        problem: expect.stringMatching(expected.problem) as unknown,
      },
    ]);
    expect(problems[0]?.problem).toContain(`${at(head)} (${everybody})`);
  });

  test('is found without a co-signer, by the own record', async () => {
    await rewrite();
    const { problems } = await verifyHeads(pool, { publicKey: key.publicKey });
    expect(problems).toMatchObject([{ place: expected.place }]);
    await expect(publishing()).rejects.toMatchObject({ code: 'LEDGER_FORKED', kind: 'invariant' });
  });

  test('is found by the co-signers when the own record is gone too', async () => {
    await rewrite();
    await tamper('TRUNCATE ledger.exported_head');
    const { problems } = await checking();
    expect(problems).toEqual([
      expect.objectContaining({
        place: expected.place,
        problem: expect.stringMatching(expected.problem) as unknown,
      }),
      {
        check: 'exported-head',
        place: 'batch 3',
        problem: `its export at ${at(head)} is missing from the ledger's own record (co-signer 1, co-signer 2, co-signer 3)`,
      },
    ]);
  });

  test('ends the next export with the evidence, when the own record is gone too', async () => {
    await rewrite();
    await tamper('TRUNCATE ledger.exported_head');
    const error = await publishing().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'LEDGER_FORKED',
      kind: 'invariant',
      message: expect.stringContaining('co-signer 1, co-signer 2, co-signer 3') as unknown,
      details: {
        problems: [expect.stringMatching(expected.place)],
        evidence: Array.from({ length: 3 }, () => expect.stringContaining(head.statement.hash) as unknown),
      },
    });
  });
});

describe('a rewritten ledger that went on until the newest heads of all keepers are its own', () => {
  const rewritten = 3;
  const after = headsReadMax + 5;
  /** What the witnesses recorded: heads of the true ledger, and on top of them those of the rewritten one. */
  const heads: SignedHead[] = [];
  const page =
    (of: readonly SignedHead[] = heads, party = 1) =>
    (count: number, upTo?: string): HeadsHeld => ({
      party,
      state: 'read',
      heads: of
        .filter(({ statement }) => upTo === undefined || BigInt(statement.batch) <= BigInt(upTo))
        .slice(0, count)
        .map((head) => ({ head, atMs: 0 })),
    });
  const showing = (...pages: ReturnType<typeof page>[]): Pick<HeadWitnesses, 'read'> => ({
    read: async (count, upTo) => await Promise.resolve(pages.map((of) => of(count, upTo))),
  });
  const kept: HeadWitnesses = {
    publish: async (head) => {
      heads.unshift(head);
      return await Promise.resolve([{ party: 1, state: 'recorded', atMs: 0 }]);
    },
    read: async (count, upTo) => await showing(page()).read(count, upTo),
  };

  beforeEach(async () => {
    heads.length = 0;
    for (let n = 1; n <= rewritten; n++) {
      await moves(BigInt(n));
      await exported(kept);
    }
    await wipe();
    await tamper('TRUNCATE ledger.exported_head');
    await moves(1n, 200n, 3n);
    for (let n = 1; n <= after; n++) {
      await moves(BigInt(n));
      await exported(kept);
    }
  });

  test('is found by the older heads', async () => {
    expect(heads).toHaveLength(rewritten + after);
    expect(await verifyHeads(pool, { publicKey: key.publicKey, witnesses: kept })).toMatchObject({
      problems: [],
    });
    const { problems, unread } = await checkingAll(kept);
    expect(problems).toEqual(
      [1, 2, 3].map((batch) => ({
        check: 'exported-head',
        place: `batch ${batch}`,
        problem: expect.stringMatching(/^was changed \(hash, recorded_ms\) after .*co-signer 1/) as unknown,
      })),
    );
    expect(unread).toEqual([]);
  });

  test('is found by the older records of its own, when only those are left', async () => {
    for (const { statement, signature } of heads.slice(-rewritten))
      await tamper('INSERT INTO ledger.exported_head VALUES ($1, $2, $3, $4, $5, $6, $7)', [
        Buffer.from(statement.ledger.slice(7), 'hex'),
        statement.batch,
        statement.lastSeq,
        Buffer.from(statement.hash.slice(7), 'hex'),
        statement.recordedMs,
        statement.signedMs,
        Buffer.from(signature, 'base64'),
      ]);
    const check = await verifyAllHeads(pool, { publicKey: key.publicKey });
    expect(check.problems.map(({ place }) => place)).toEqual(['batch 1', 'batch 2', 'batch 3']);
  });

  test('is found although another keeper shows heads without end, which is named', async () => {
    const [newest] = heads;
    if (newest === undefined) throw new Error('a head');
    let asked = 0;
    const endless = (count: number, upTo = '1000000'): HeadsHeld => {
      asked += 1;
      const batches = Array.from({ length: count }, (_, n) => BigInt(upTo) - BigInt(n)).filter(
        (no) => no > 0n,
      );
      return {
        party: 2,
        state: 'read',
        heads: batches.map((batch) => ({
          head: { ...newest, statement: { ...newest.statement, batch: String(batch) } },
          atMs: 0,
        })),
      };
    };
    const repeating = (count: number): HeadsHeld => page(heads, 3)(count);
    const check = await checkingAll(showing(page(), endless, repeating));
    expect(check.problems.filter(({ place }) => place.startsWith('batch')).map(({ place }) => place)).toEqual(
      ['batch 1', 'batch 2', 'batch 3'],
    );
    expect(check.unbelieved?.[0]).toMatchObject({ place: 'co-signer 2' });
    expect(check.unread).toEqual(['co-signer 3: shows heads of another form or order']);
    expect(asked).toBeLessThan(5);
  });

  test('a ledger that was not is not: every head of it holds', async () => {
    const own = page(heads.slice(0, after));
    expect(await checkingAll(showing(own))).toMatchObject({ problems: [], unread: [] });
  });
});

describe('what is not found', () => {
  test('is a consistent change behind the last exported head', async () => {
    await moves(1n, 2n);
    await exported();
    await moves(3n);
    // The newest batch dated forward: no head was exported since.
    await tamper('UPDATE ledger.batch SET recorded_ms = recorded_ms + 1 WHERE no = 3');
    await rehash();
    expect(await ledger.verify()).toMatchObject({ ok: true });
    expect(await checking()).toMatchObject({ problems: [], unprovenBatches: 1n });
  });
});

describe('nobody can invent or hide', () => {
  test('the row of a batch whose head was exported', async () => {
    await moves(1n, 2n);
    const { head } = await exported();
    await moves(3n);
    await tamper('DELETE FROM ledger.batch WHERE no = 2');
    expect((await checking()).problems).toEqual([
      {
        check: 'exported-head',
        place: 'batch 2',
        problem: `is missing: batch 2 was exported at ${at(head)} (${everybody})`,
      },
    ]);
    await expect(publishing()).rejects.toMatchObject({ code: 'LEDGER_FORKED' });
  });

  test('a changed own record is no evidence, and is named', async () => {
    await moves(1n);
    const { head } = await exported();
    await tamper('UPDATE ledger.exported_head SET signed_ms = signed_ms + 1');
    expect((await checking()).problems).toEqual([
      {
        check: 'exported-head',
        place: "the ledger's own record",
        problem: expect.stringContaining("the ledger's key did not sign it") as unknown,
      },
      expect.objectContaining({ problem: expect.stringContaining(at(head)) as unknown }),
    ]);
    await expect(publishing()).rejects.toMatchObject({ code: 'LEDGER_FORKED' });
  });

  test('a co-signer that lies about a fork stops nothing', async () => {
    await moves(1n);
    const { head } = await exported();
    const forged = { ...head, statement: { ...head.statement, hash: `sha256:${'0'.repeat(64)}` as const } };
    const lying: HeadWitnesses = {
      read: async (count) => await witnesses.read(count),
      publish: async () =>
        await Promise.resolve(
          [forged, undefined, head].map((recorded, index) => ({
            party: index + 1,
            state: 'refused' as const,
            code: 'CUSTODY_LEDGER_HEAD_CONFLICT',
            reason: 'forked',
            recorded,
          })),
        ),
    };
    expect((await exported(lying)).answers.map(({ state }) => state)).toEqual([
      'refused',
      'refused',
      'refused',
    ]);
  });

  test('a head that another key signed is named, and is no evidence', async () => {
    await moves(1n);
    const { head } = await exported();
    const foreign = newKey().sign({ ...head.statement, hash: `sha256:${'0'.repeat(64)}` });
    const shown: HeadWitnesses['read'] = async () =>
      await Promise.resolve([{ party: 1, state: 'read', heads: [{ head: foreign, atMs: 0 }] }]);
    expect(
      (await verifyHeads(pool, { publicKey: key.publicKey, witnesses: { read: shown } })).problems,
    ).toEqual([
      {
        check: 'exported-head',
        place: 'co-signer 1',
        problem: expect.stringContaining('no evidence') as unknown,
      },
    ]);
  });

  test('two heads of one batch under the own key are named', async () => {
    await moves(1n);
    const { head } = await exported();
    const second = key.sign({ ...head.statement, hash: `sha256:${'0'.repeat(64)}` });
    const { problems } = await checkAgainstHeads(pool, [
      { head, keeper: 'a' },
      { head: second, keeper: 'b' },
    ]);
    expect(problems.map(({ problem }) => problem)).toEqual([
      `was changed (hash) after it was exported at ${at(second)} (b)`,
      "two different heads of it bear the ledger's signature",
    ]);
  });
});
