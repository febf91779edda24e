/**
 * Forward-only migrations: `<module>/sql/NNNN_name.sql`, run in the order of their numbers over all modules, all of them
 * in one transaction. A file that was applied is never edited: its SHA-256 is kept and compared at every start.
 */
import { createHash } from 'node:crypto';
import { type Dirent, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Kysely, type Migration, Migrator, PostgresDialect, sql } from 'kysely';
import { errorsOf, messageOf } from '#core/errors';
import { infraErrors } from './contract.ts';
import type { Pool } from './db.ts';

const fail = errorsOf(infraErrors);
const repositoryRoot = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const fileNamePattern = /^(\d{4})_([a-z0-9_]+)\.sql$/;
/** Any fixed number, so that two processes that start at once migrate one after the other. */
const migrationLockKey = 7_305_871_002;
/** `sql` folders are looked for this deep: module and submodule. */
const folderDepthMax = 2;
const foldersWithoutMigrations = new Set(['node_modules', 'test', 'docs', 'tools', 'bench', 'console']);

export interface MigrationFile {
  /** `0001_infra_outbox`: what the database remembers. */
  readonly name: string;
  readonly path: string;
  readonly text: string;
  readonly sha256: string;
}
export interface MigrateOptions {
  /** Where the module folders lie; the repository unless a test brings its own. */
  readonly root?: string;
}

function sqlFolders(folder: string, depth: number): string[] {
  const entries: Dirent[] = readdirSync(folder, { withFileTypes: true });
  return entries.flatMap((entry) => {
    if (!entry.isDirectory() || entry.name.startsWith('.') || foldersWithoutMigrations.has(entry.name))
      return [];
    const child = path.join(folder, entry.name);
    if (entry.name === 'sql') return [child];
    return depth < folderDepthMax ? sqlFolders(child, depth + 1) : [];
  });
}

/** @throws INFRA_MIGRATION_FILE_INVALID */
export function migrationFiles(root: string = repositoryRoot): readonly MigrationFile[] {
  const byNumber = new Map<string, MigrationFile>();
  for (const folder of sqlFolders(root, 0)) {
    for (const fileName of readdirSync(folder).filter((name) => name.endsWith('.sql'))) {
      const file = path.join(folder, fileName);
      const match = fileNamePattern.exec(fileName);
      if (match === null)
        throw fail('INFRA_MIGRATION_FILE_INVALID', `${file} is not called NNNN_name.sql`, { file });
      const [, number = '', title = ''] = match;
      const other = byNumber.get(number);
      if (other !== undefined)
        throw fail('INFRA_MIGRATION_FILE_INVALID', `${file} and ${other.path} have the same number`, {
          file,
        });
      const text = readFileSync(file, 'utf8');
      const module = path.relative(root, path.dirname(folder)).replaceAll(path.sep, '-');
      const sha256 = createHash('sha256').update(text).digest('hex');
      byNumber.set(number, { name: `${number}_${module}_${title}`, path: file, text, sha256 });
    }
  }
  return [...byNumber.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function migrationOf(file: MigrationFile): Migration {
  return {
    up: async (db) => {
      await sql.raw(file.text).execute(db);
      await sql`INSERT INTO infra.migration_file (name, sha256) VALUES (${file.name}, ${file.sha256})`.execute(
        db,
      );
    },
  };
}

/** How many of the files are applied. @throws INFRA_MIGRATION_EDITED */
async function countApplied(db: Kysely<unknown>, files: readonly MigrationFile[]): Promise<number> {
  const applied = await sql<{ name: string; sha256: string }>`
    SELECT name, sha256 FROM infra.migration_file ORDER BY name`.execute(db);
  const shaOf = new Map(files.map((file) => [file.name, file.sha256]));
  const changed = applied.rows.filter((row) => shaOf.get(row.name) !== row.sha256).map((row) => row.name);
  if (changed.length > 0)
    throw fail(
      'INFRA_MIGRATION_EDITED',
      `already applied here, and changed or removed since: ${changed.join(', ')}`,
      { changed },
    );
  return applied.rows.length;
}

async function isCurrent(db: Kysely<unknown>, files: readonly MigrationFile[]): Promise<boolean> {
  const found = await sql<{ known: boolean }>`
    SELECT to_regclass('infra.migration_file') IS NOT NULL AS known`.execute(db);
  return found.rows[0]?.known === true && (await countApplied(db, files)) === files.length;
}

/**
 * Brings the database up to the newest migration; returns the names that were applied now. Safe to call from several
 * processes at once.
 * @throws INFRA_DATABASE_UNREACHABLE, INFRA_MIGRATION_FILE_INVALID, INFRA_MIGRATION_EDITED, INFRA_MIGRATION_FAILED
 */
export async function migrate(pool: Pool, options: MigrateOptions = {}): Promise<readonly string[]> {
  const files = migrationFiles(options.root);
  const client = await pool.connect().catch((error: unknown) => {
    // The driver's sentences name host, port, user or database, never the password.
    throw fail('INFRA_DATABASE_UNREACHABLE', `PostgreSQL cannot be used: ${messageOf(error)}`, {}, error);
  });
  // A lost connection is reported by the statement that meets it; the event alone must not end the process.
  client.on('error', () => undefined);
  try {
    await client.query('SELECT pg_advisory_lock($1)', [migrationLockKey]);
    // Everything runs on the one connection that holds the lock, so a pool of one is enough.
    const borrowed = {
      query: client.query.bind(client),
      release: () => undefined,
    } as unknown as typeof client;
    const db = new Kysely<unknown>({
      dialect: new PostgresDialect({
        pool: { connect: () => Promise.resolve(borrowed), end: () => Promise.resolve() },
      }),
    });
    // A process may have a role that can read what was applied and not more.
    if (await isCurrent(db, files)) return [];
    await sql`CREATE SCHEMA IF NOT EXISTS infra`.execute(db);
    await sql`CREATE TABLE IF NOT EXISTS infra.migration_file (
      name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`.execute(
      db,
    );
    await countApplied(db, files);
    const migrator = new Migrator({
      db,
      provider: {
        getMigrations: () =>
          Promise.resolve(Object.fromEntries(files.map((file) => [file.name, migrationOf(file)]))),
      },
      migrationTableSchema: 'infra',
      migrationTableName: 'migration',
      migrationLockTableName: 'migration_lock',
    });
    const { error, results = [] } = await migrator.migrateToLatest();
    if (error !== undefined) {
      const failed =
        results.find((result) => result.status === 'Error')?.migrationName ?? 'the order of the files';
      throw fail('INFRA_MIGRATION_FAILED', `${failed}: ${messageOf(error)}`, { migration: failed }, error);
    }
    return results.filter((result) => result.status === 'Success').map((result) => result.migrationName);
  } finally {
    // Closing instead of giving back: whatever a failed run left on the session, the lock among it, goes with it.
    client.release(true);
  }
}
