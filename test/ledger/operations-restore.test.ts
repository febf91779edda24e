/** Restoring from a physical backup and archived WAL, as docs/operations/ledger.md says it, with what has to be seen afterwards. */
import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { openPool, type Pool } from '#infra/db';
import { migrate } from '#infra/migrations';
import { createLedger, exportHead, type Ledger, openHeadKey, verifyHeads } from '#ledger';
import { chainHot, customerMain, type HeadWitnesses, type SignedHead } from '#ledger/contract';
import { startCluster } from '../../infra/dev/cluster.ts';
import { findFreePorts } from '../../infra/dev/ports.ts';
import { installPostgres, type RunningPostgres, startPostgres } from '../../infra/dev/postgres.ts';
import { createSupervisor } from '../../infra/dev/processes.ts';
import { localPassword, openState } from '../../infra/dev/state.ts';
import { makeHeadKey } from '../../ledger/head-key.ts';
import { closeFixtures, temporaryFolder } from '../signer/fixture.ts';
import { accountOf, ether, post, walletOf } from './fixture.ts';

const run = promisify(execFile);
const hot = chainHot(walletOf('w'));
const alice = customerMain(accountOf('alice'));
const late = customerMain(accountOf('opened late'));
const stream = 'matching/1';
const lost = post(hot, alice, 7n);

const state = openState(`tests-${process.pid}`);
const root = path.dirname(state.data);
const archive = path.join(state.data, 'archive');
const clock = { nowMs: () => 1_790_000_000_000 };

let supervisor = createSupervisor();
let port: number;
let pool: Pool;
/** One process that lives through the restore, with all that it remembers. */
let ledger: Ledger;
let key: ReturnType<typeof openHeadKey>;
let lsnBefore: string;
const heads: SignedHead[] = [];
const witnesses: HeadWitnesses = {
  publish: (head) => {
    const [recorded] = heads;
    if (recorded !== undefined && BigInt(recorded.statement.batch) >= BigInt(head.statement.batch))
      return Promise.resolve([
        { party: 1, state: 'refused', code: 'CUSTODY_LEDGER_HEAD_REFUSED', reason: 'forked', recorded },
      ]);
    heads.unshift(head);
    return Promise.resolve([{ party: 1, state: 'recorded', atMs: 0 }]);
  },
  read: () => Promise.resolve([{ party: 1, state: 'read', heads: heads.map((head) => ({ head, atMs: 0 })) }]),
};

async function stop(): Promise<void> {
  await supervisor.stopAll();
  supervisor = createSupervisor();
}

async function start(dataFolder: string): Promise<RunningPostgres> {
  return await startPostgres(supervisor, await installPostgres(state), {
    dataFolder,
    port,
    logFile: path.join(state.logs, `${path.basename(dataFolder)}.log`),
    password: localPassword(state, 'postgres'),
    durable: false,
  });
}

async function asAdmin<T>(postgres: RunningPostgres, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: postgres.adminUrl() });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** A copy of the running server's files that WAL makes whole (PostgreSQL, "Making a Base Backup Using the Low Level API"). */
async function baseBackup(client: pg.Client, dataFolder: string, copy: string): Promise<void> {
  await client.query("SELECT pg_backup_start('nightly', fast => true)");
  await run('cp', ['-a', dataFolder, copy]);
  const { rows } = await client.query<{ labelfile: string }>('SELECT labelfile FROM pg_backup_stop()');
  await run('sh', ['-c', 'rm -rf "$0"/postmaster.pid "$0"/pg_wal/0*', copy]);
  writeFileSync(path.join(copy, 'backup_label'), rows[0]?.labelfile ?? '');
}

/** A server of its own from the backup and the archive, on the port of the one that was lost. */
async function restore(name: string, target = ''): Promise<void> {
  await stop();
  const folder = path.join(state.data, name);
  await run('cp', ['-a', path.join(state.data, 'backup'), folder]);
  writeFileSync(path.join(folder, 'recovery.signal'), '');
  writeFileSync(
    path.join(folder, 'postgresql.auto.conf'),
    `restore_command = 'cp ${archive}/%f %p'\nrecovery_target_action = 'promote'\n${target}`,
  );
  for (const file of ['recovery.signal', 'postgresql.auto.conf', 'backup_label'])
    await run('chown', ['--reference', folder, path.join(folder, file)]);
  const postgres = await start(folder);
  await asAdmin(postgres, async (client) => {
    const isOver = async () =>
      (await client.query<{ over: boolean }>('SELECT NOT pg_is_in_recovery() AS over')).rows[0]?.over;
    await expect.poll(isOver, { timeout: 20_000 }).toBe(true);
  });
}

beforeAll(async () => {
  port = await findFreePorts();
  mkdirSync(archive);
  chmodSync(archive, 0o777);
  const keyFile = path.join(temporaryFolder(), 'ledger.pem');
  writeFileSync(keyFile, makeHeadKey(), { mode: 0o600 });
  key = openHeadKey(keyFile);

  const first = await startCluster(supervisor, state, { port, durable: false });
  await asAdmin(first.postgres, async (client) => {
    await client.query(`ALTER SYSTEM SET archive_mode = on`);
    await client.query(`ALTER SYSTEM SET archive_command = 'cp %p ${archive}/%f'`);
  });
  await stop();
  const dataFolder = path.join(state.data, 'postgres');
  const postgres = await start(dataFolder);
  pool = openPool({ connectionString: first.urlOf(), applicationName: 'test-restore' });
  await migrate(pool);
  ledger = createLedger({ pool });
  const open = (accountPath: typeof alice) =>
    ledger.openAccounts(pool, [{ path: accountPath, asset: ether }]);
  await ledger.openAccounts(
    pool,
    [hot, alice].map((accountPath) => ({ path: accountPath, asset: ether })),
  );
  await ledger.apply([post(hot, alice, 100n)]);
  await ledger.applyPortion({ stream, after: 0n, upTo: 5n }, [post(hot, alice, 1n)]);
  await asAdmin(postgres, async (client) => {
    await baseBackup(client, dataFolder, path.join(state.data, 'backup'));
    await ledger.apply([post(hot, alice, 10n)]);
    await exportHead({ pool, key, witnesses, clock });
    const { rows } = await client.query<{ lsn: string }>('SELECT pg_current_wal_flush_lsn() AS lsn');
    lsnBefore = rows[0]?.lsn ?? '';
    // After the moment that will be restored.
    await open(late);
    await ledger.apply([lost, post(hot, late, 3n)]);
    await ledger.applyPortion({ stream, after: 5n, upTo: 9n }, [post(hot, alice, 2n)]);
    await exportHead({ pool, key, witnesses, clock });
    await client.query('SELECT pg_switch_wal()');
    const isArchived = async () =>
      (
        await client.query<{ done: boolean }>(
          'SELECT last_archived_wal >= pg_walfile_name(pg_current_wal_lsn() - 1) AS done FROM pg_stat_archiver',
        )
      ).rows[0]?.done;
    await vi.waitFor(async () => expect(await isArchived()).toBe(true), { timeout: 20_000 });
  });
});
afterAll(async () => {
  await pool.end();
  await supervisor.stopAll();
  await closeFixtures();
  rmSync(root, { recursive: true, force: true });
});

test('restored to the end of the archive it is the same ledger, and goes on', async () => {
  await restore('restored-whole');
  expect(await ledger.verify()).toEqual({ ok: true, problems: [] });
  const check = await verifyHeads(pool, { publicKey: key.publicKey, witnesses });
  expect(check).toMatchObject({ problems: [], unprovenBatches: 0n, unread: [] });
  expect(await ledger.streamPosition(stream)).toBe(9n);
  expect((await ledger.apply([lost]))[0]?.status).toBe('exists');
  expect((await ledger.apply([post(hot, late, 1n)]))[0]?.status).toBe('ok');
});

test('restored to an earlier moment it is whole, and the signed heads name what it lost', async () => {
  await restore('restored-earlier', `recovery_target_lsn = '${lsnBefore}'\n`);
  expect(await ledger.verify()).toEqual({ ok: true, problems: [] });

  const { problems } = await verifyHeads(pool, { publicKey: key.publicKey, witnesses });
  expect(problems.map(({ place, problem }) => `${place} ${problem.split(':')[0] ?? ''}`)).toContain(
    'batch 3 batches after 3 are missing',
  );
  await ledger.apply([post(hot, alice, 1n)]);
  await expect(exportHead({ pool, key, witnesses, clock })).rejects.toMatchObject({ code: 'LEDGER_FORKED' });
});

test('a process that lived through it asks for the ids of accounts again', async () => {
  const statuses = (await ledger.apply([post(hot, late, 1n), post(hot, alice, 1n)])).map(
    ({ status }) => status,
  );
  expect(statuses).toEqual(['unknown-account', 'ok']);
  expect((await ledger.apply([lost]))[0]?.status).toBe('ok');
});

test('a stream goes on from the position that was restored, and a gap is refused', async () => {
  expect(await ledger.streamPosition(stream)).toBe(5n);
  const next = { stream, after: 9n, upTo: 12n };
  await expect(ledger.applyPortion(next, [post(hot, alice, 2n)])).rejects.toMatchObject({
    code: 'LEDGER_STREAM_GAP',
  });
  expect(await ledger.applyPortion({ stream, after: 5n, upTo: 9n }, [post(hot, alice, 2n)])).toBe('ok');
  expect(await ledger.applyPortion(next, [post(hot, alice, 2n)])).toBe('ok');
  expect(await ledger.verify()).toEqual({ ok: true, problems: [] });
});
