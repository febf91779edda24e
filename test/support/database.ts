import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll } from 'vitest';
import { askForServer } from './servers.ts';

async function runAsAdmin(adminUrl: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

/**
 * A migrated database of its own for this test file, dropped at its end. Call it once at the top level of the file or in
 * `beforeAll`. The connection string is that of the suite's role, which owns the database and is no superuser.
 */
export async function databaseForThisFile(options: { readonly migrated?: boolean } = {}): Promise<string> {
  const { adminUrl = '', suiteUrl = '' } = await askForServer('cluster');
  const name = `t_${randomUUID().replaceAll('-', '')}`;
  const source =
    options.migrated === false ? 'template1' : ((await askForServer('template'))['template'] ?? 'template1');
  const suite = new URL(suiteUrl);
  await runAsAdmin(adminUrl, `CREATE DATABASE ${name} OWNER ${suite.username} TEMPLATE ${source}`);
  afterAll(async () => {
    await runAsAdmin(adminUrl, `DROP DATABASE ${name} WITH (FORCE)`);
  });
  suite.pathname = `/${name}`;
  return suite.href;
}

/** A session of the superuser in the database of `connectionString`, ended with the test file. */
export async function superuserOf(connectionString: string): Promise<pg.Client> {
  const { adminUrl = '' } = await askForServer('cluster');
  const admin = new URL(adminUrl);
  admin.pathname = new URL(connectionString).pathname;
  const client = new pg.Client({ connectionString: admin.href });
  await client.connect();
  afterAll(async () => {
    await client.end();
  });
  return client;
}
