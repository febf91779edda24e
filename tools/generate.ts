/**
 * Generated documents: docs/errors.md from the modules' error catalogues, api/openapi.json from the routes, api/asyncapi.json from the messages
 * of the stream.
 * `tsx tools/generate.ts` writes them; `--check` fails when a committed one is not what the code gives. docs/journal.md needs a
 * PostgreSQL (DATABASE_URL's, else one started for it): it is only written here, and a test compares it.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { buildServer, type ServerOptions } from '#api';
import { chainErrors } from '#chains/contract';
import { coreErrors, type ErrorCatalogue } from '#core/errors';
import { custodyErrors } from '#custody/protocol';
import { openPool } from '#infra/db';
import { ledgerErrors } from '#ledger/contract';
import { matchingErrors } from '#matching/contract';
import { tradingErrors } from '#matching/trading/contract';
import { mpcErrors } from '#mpc/contract';
import { policyErrors } from '#policies/contract';
import { workflowErrors } from '#workflows/contract';
import { clientErrors } from '../api/client/errors.ts';
import { apiErrors } from '../api/contract.ts';
import { asyncApi } from '../api/stream/asyncapi.ts';
import { streamErrors } from '../api/stream/errors.ts';
import { cliErrors } from '../cli/contract.ts';
import { infraErrors } from '../infra/contract.ts';
import { openThrowawayDatabase } from '../infra/dev/throwaway-database.ts';
import { migrate } from '../infra/migrations.ts';
import { rolledBackPage } from './journal-page/page.ts';

const catalogues: readonly (readonly [string, ErrorCatalogue])[] = [
  ['core', coreErrors],
  ['infra', infraErrors],
  ['ledger', ledgerErrors],
  ['matching', matchingErrors],
  ['matching/trading', tradingErrors],
  ['policies', policyErrors],
  ['chains', chainErrors],
  ['custody', custodyErrors],
  ['custody/multi-party-ecdsa-wasm', mpcErrors],
  ['workflows', workflowErrors],
  ['api', apiErrors],
  ['api/stream', streamErrors],
  ['api/client', clientErrors],
  ['cli', cliErrors],
];

function errorsPage(): string {
  const sections = catalogues.map(([module, catalogue]) => {
    const rows = Object.entries(catalogue).map(
      ([code, d]) =>
        `| \`${code}\` | ${d.kind} | ${d.why} | ${d.whatToDo} | ${d.retryable === true ? 'yes' : 'no'} |`,
    );
    return [
      `## ${module}`,
      '',
      '| code | kind | why | what to do | retry |',
      '|---|---|---|---|---|',
      ...rows,
      '',
    ].join('\n');
  });
  return [
    '# Errors',
    '',
    'Generated from the catalogues in the code by `npm run generate`; do not edit. The HTTP status follows the kind:',
    'invalid 400, unauthenticated 401, forbidden 403, not_found 404, conflict 409, limited 429, unavailable and aborted',
    '503, invariant 500. `retry` says whether the same call may succeed later without a change.',
    '',
    ...sections,
  ].join('\n');
}

async function openApi(): Promise<string> {
  const refuse = (): never => {
    throw new Error('no route is called while the description is made');
  };
  const refusing = new Proxy({}, { get: () => refuse });
  const app = await buildServer({
    operations: refusing as ServerOptions['operations'],
    keys: refusing as ServerOptions['keys'],
    auth: refusing as ServerOptions['auth'],
    trading: undefined,
    authenticate: refuse,
    assets: [],
    probes: {},
  });
  const text = JSON.stringify(app.swagger(), null, 2);
  await app.close();
  return text;
}

async function journalPage(): Promise<string> {
  const database = await openThrowawayDatabase();
  const pool = openPool({ connectionString: database.url, applicationName: 'generate' });
  try {
    await migrate(pool);
    return await rolledBackPage(pool);
  } finally {
    await pool.end();
    await database.close();
  }
}

function formatted(path: string, text: string): string {
  if (!path.endsWith('.json')) return `${text.trimEnd()}\n`;
  return execFileSync('npx', ['biome', 'format', `--stdin-file-path=${path}`], {
    input: text,
    encoding: 'utf8',
  });
}

const check = process.argv.includes('--check');
const documents: readonly (readonly [string, string])[] = [
  ['docs/errors.md', errorsPage()],
  ['api/openapi.json', await openApi()],
  ['api/asyncapi.json', JSON.stringify(asyncApi())],
  ...(check ? [] : [['docs/journal.md', await journalPage()] as const]),
];
for (const [path, text] of documents) {
  const wanted = formatted(path, text);
  if (!check) {
    writeFileSync(path, wanted);
    console.log(`wrote ${path}`);
    continue;
  }
  let found = '';
  try {
    found = readFileSync(path, 'utf8');
  } catch {
    // A missing file is an outdated one.
  }
  if (found !== wanted) {
    console.error(`${path} is not what the code gives: run npm run generate and commit it`);
    process.exitCode = 1;
  }
}
