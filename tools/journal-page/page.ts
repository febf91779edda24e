/**
 * Writes docs/journal.md: per journal template its purpose (from the source), its legs (from its commands) and an example
 * whose statements are run and whose results are printed. Needs a PostgreSQL with the ledger's schema and empty books, and
 * leaves nothing behind. `npm run generate` brings one and writes the page; `test/ledger/journal-page.test.ts` makes the
 * page anew on the tests' PostgreSQL and compares, so that `npm run check` needs no server.
 */
import { readFileSync } from 'node:fs';
import ts from 'typescript';
import { uuidOf } from '#core/ids';
import type { Pool, Queryable } from '#infra/db';
import type { AccountPath, TransferCommand } from '#ledger/contract';
import * as journal from '../../ledger/journal.ts';
import { accounts, type Chapter, chapters, type Example, placeholders, repeated } from './story.ts';

/** What ledger/journal.ts offers beside templates. */
const noTemplates = new Set(['tradesNettedInTurn', 'transferIdOf', 'adjustmentHash']);

const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;

// ---------------------------------------------------------------- what the source says

/** The first paragraph of each exported declaration's documentation. */
function purposesOf(file: string): ReadonlyMap<string, string> {
  const path = `ledger/journal/${file}`;
  const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.ESNext, true);
  const purposes = new Map<string, string>();
  for (const statement of source.statements) {
    const named = ts.isVariableStatement(statement) ? statement.declarationList.declarations[0] : statement;
    const name = named !== undefined && 'name' in named ? (named.name as ts.Node).getText() : '';
    const text = ts.getTextOfJSDocComment(ts.getJSDocCommentsAndTags(statement)[0]?.comment) ?? '';
    const [paragraph = ''] = text.split(/\n\s*\n/);
    purposes.set(name, paragraph.replaceAll(/\s+/g, ' ').replaceAll(/\{@link (?:\w+ )?(\w+)\s*\}/g, '`$1`'));
  }
  return purposes;
}

function assertComplete(): void {
  const told = new Set<string>(chapters.flatMap(({ examples }) => examples.map(({ template }) => template)));
  const missing = Object.keys(journal).filter((name) => !noTemplates.has(name) && !told.has(name));
  if (missing.length > 0) throw new Error(`docs/journal.md has no example of ${missing.join(', ')}`);
}

// ---------------------------------------------------------------- legs

type Legs = readonly [debit: string, credit: string];
/** Also of what was reserved, for the commands that end a reservation. */
type Reserved = Map<string, readonly [AccountPath, AccountPath]>;

function legsOf(command: TransferCommand, reserved: Reserved): Legs {
  const symbolic = (path: string) =>
    `\`${placeholders.reduce((text, [id, name]) => text.replace(id, name), path)}\``;
  if ('account' in command) return [symbolic(command.account), ''];
  const [debit, credit] =
    'pendingId' in command
      ? (reserved.get(command.pendingId) ?? ['?', '?'])
      : [command.debit, command.credit];
  return [symbolic(debit), symbolic(credit)];
}

function legsTable({ template, commands, when }: Example, reserved: Reserved): string[] {
  if (when.length !== commands.length)
    throw new Error(`${template}: ${commands.length} legs, ${when.length} times`);
  const rows = commands.map((command, index) => {
    const [debit, credit] = legsOf(command, reserved);
    return `| ${debit} | ${credit} | ${command.kind} | ${command.code} | ${when[index] ?? ''} |`;
  });
  return ['| debit | credit | kind | code | when |', '|---|---|---|---|---|', ...rows];
}

// ---------------------------------------------------------------- statements

/** The asset of a command that names none is that of what it ends. */
function transferOne(command: TransferCommand, assets: Map<string, string>): string {
  const [debit, credit] =
    command.kind === 'post' || command.kind === 'pending'
      ? [command.debit, command.credit]
      : 'account' in command
        ? [command.account, command.account]
        : [undefined, undefined];
  const asset =
    'amount' in command
      ? command.amount.asset
      : 'asset' in command
        ? command.asset
        : (assets.get(command.pendingId) ?? '');
  assets.set(command.id, asset);
  const path = (text: string | undefined) => (text === undefined ? 'NULL' : literal(text));
  const units = 'amount' in command ? command.amount.units.toString() : 'NULL';
  const pending = 'pendingId' in command ? `, ${literal(uuidOf(command.pendingId))}` : '';
  return [
    `SELECT ledger.transfer_one(${literal(uuidOf(command.id))}, ${literal(command.kind)},`,
    `  ${path(debit)}, ${path(credit)},`,
    `  ${literal(asset)}, ${units}, ${literal(command.code)}, ${literal(command.reference)}${pending});`,
  ].join('\n');
}

/** The rows that proposing and approving write. */
function agreed({ by, content }: NonNullable<Example['approved']>): string {
  const legs = journal
    .adjustment(content)
    .flatMap((leg, index) => (leg.kind === 'post' ? [{ ...leg, no: index + 1 }] : []));
  const proposal = legs.map(
    ({ id, no, debit, credit, amount }) =>
      `  (${literal(uuidOf(id))}, ${literal(journal.adjustmentHash(content))}, ${no},\n   ${literal(debit)}, ${literal(credit)}, ` +
      `${literal(amount.asset)}, ${amount.units},\n   ${literal(content.reason)}, ${literal(content.proposedBy)})`,
  );
  return [
    'INSERT INTO ledger.adjustment (id, content, leg, debit, credit, asset, amount, reason, proposed_by) VALUES',
    `${proposal.join(',\n')};`,
    'INSERT INTO ledger.adjustment_approval (adjustment, person) VALUES',
    `${legs.map(({ id }) => `  (${literal(uuidOf(id))}, ${literal(by)})`).join(',\n')};`,
  ].join('\n');
}

class Telling {
  readonly #queryable: Queryable;
  readonly #assets = new Map<string, string>();
  readonly #reserved: Reserved = new Map();

  constructor(queryable: Queryable) {
    this.#queryable = queryable;
  }

  async #booked(commands: readonly TransferCommand[], wanted?: string): Promise<string[]> {
    const lines: string[] = [];
    for (const command of commands) {
      if (command.kind === 'pending') this.#reserved.set(command.id, [command.debit, command.credit]);
      const statement = transferOne(command, this.#assets);
      const { rows } = await this.#queryable.query<{ transfer_one: string }>(statement);
      const status = rows[0]?.transfer_one ?? '';
      if (wanted !== undefined && status !== wanted)
        throw new Error(`${command.code} of ${command.reference}: ${status}, not ${wanted}`);
      lines.push(statement, `-- ${status}`);
    }
    return lines;
  }

  /** What the accounts of the example have afterwards. */
  async #balances(commands: readonly TransferCommand[]): Promise<string[]> {
    const paths = commands.flatMap((command) =>
      'pendingId' in command
        ? [...(this.#reserved.get(command.pendingId) ?? [])]
        : 'account' in command
          ? [command.account]
          : [command.debit, command.credit],
    );
    const list = (values: readonly string[]) => [...new Set(values)].sort().map(literal);
    const assets = list(commands.map(({ id }) => this.#assets.get(id) ?? ''));
    const closed = commands.some((command) => 'account' in command) ? ', closed' : '';
    const statement = [
      `SELECT path, asset, debits_pending, debits_posted, credits_pending, credits_posted${closed}`,
      `  FROM ledger.account_balance WHERE asset IN (${assets.join(', ')}) AND path IN (`,
      `  ${list(paths).join(',\n  ')})`,
      ' ORDER BY asset, path COLLATE "C";',
    ].join('\n');
    const { rows } = await this.#queryable.query<Record<string, string | boolean>>(statement);
    const [first = {}] = rows;
    const columns = Object.keys(first);
    return [
      statement,
      '```',
      '',
      `| ${columns.join(' | ')} |`,
      `|${'---|'.repeat(columns.length)}`,
      ...rows.map(
        (row) =>
          `| ${columns.map((column) => String(row[column]).replace(/^(?=.*:)(.*)$/, '`$1`')).join(' | ')} |`,
      ),
      '',
    ];
  }

  async example(example: Example, purpose: string): Promise<string[]> {
    const { template, given = [], commands, approved } = example;
    if (purpose === '') throw new Error(`${template} has no documentation`);
    const lines = ['```sql'];
    if (given.length > 0) lines.push('-- Booked before:', ...(await this.#booked(given, 'ok')), '');
    if (approved !== undefined) {
      lines.push(...(await this.#booked(commands.slice(0, 1), 'not-approved')), '', agreed(approved));
      await this.#queryable.query(agreed(approved));
      lines.push(`-- ${approved.content.proposedBy} proposed it, ${approved.by} approved it`);
    }
    lines.push(...(await this.#booked(commands, 'ok')), ...(await this.#balances(commands)));
    const table = legsTable(example, this.#reserved);
    return [`### ${template}`, '', purpose, '', ...table, '', ...lines];
  }

  async chapter({ title, file, examples }: Chapter): Promise<string[]> {
    const purposes = purposesOf(file);
    const lines = [`## ${title}`, '', `\`ledger/journal/${file}\``, ''];
    for (const each of examples) lines.push(...(await this.example(each, purposes.get(each.template) ?? '')));
    return lines;
  }

  async repeated(): Promise<string[]> {
    return [
      '```sql',
      ...(await this.#booked(repeated.unchanged, 'exists')),
      ...(await this.#booked(repeated.changed, 'conflict')),
      '```',
    ];
  }

  async verified(): Promise<string[]> {
    const statement = 'SELECT "check", place, problem FROM ledger.verify();';
    const { rows } = await this.#queryable.query(statement);
    if (rows.length > 0) throw new Error(`the story breaks the books: ${JSON.stringify(rows)}`);
    return ['```sql', statement, '-- no rows', '```'];
  }
}

const opening = [
  '# The journal',
  '',
  'Generated from `ledger/journal/` by `npm run generate`; do not edit. Every business event that moves money is one of these',
  'templates: a function that takes the facts of the event and returns its transfers, with ids that follow from the event, so that',
  'booking it again books nothing again. Nothing outside `ledger/` makes a transfer another way; a test looks for it. Beside them',
  '`ledger/` itself ends holds whose timeout has passed (`expire-pending`, code `hold-expired`, along the legs of the hold), and a',
  'person with the rights of a writer can import transfers of another system (`strongroom ledger import`).',
  '',
  'A debit account (the chain mirrors, `house:network-fee`) grows by debits, all others by credits. `pending` reserves;',
  '`post-pending` and `void-pending` end a reservation, along its own legs. Where a template has several legs the ledger books all or',
  'none of them.',
  '',
  'The examples are one story on books that begin empty, run from top to bottom; the results are what PostgreSQL answered.',
  '`ledger.transfer_one` books one transfer by the names of its accounts and answers its status. The suite itself sends batches',
  '(`ledger.apply_batch`), which also link the legs of a template.',
  '',
  '## Accounts',
  '',
];

async function journalPage(queryable: Queryable): Promise<string> {
  assertComplete();
  const telling = new Telling(queryable);
  const array = (values: readonly string[]) => `ARRAY[\n  ${values.map(literal).join(',\n  ')}]`;
  const statements = [...new Set(accounts.map(([, asset]) => asset))].map((asset) => {
    const paths = accounts.filter((account) => account[1] === asset).map(([path]) => path);
    return `SELECT ledger.open_accounts(${array(paths)},\n  array_fill(${literal(asset)}::text, ARRAY[${paths.length}]));`;
  });
  const lines = [...opening, '```sql'];
  for (const statement of statements) {
    const { rows } = await queryable.query<{ open_accounts: string }>(statement);
    lines.push(statement, `-- ${rows[0]?.open_accounts ?? ''}`);
  }
  lines.push('```', '');
  for (const chapter of chapters) lines.push(...(await telling.chapter(chapter)));
  lines.push('## The same again, and the proof', '');
  lines.push(
    'Sent again unchanged, a transfer exists; with other content it is a conflict. Neither books anything.',
    '',
  );
  lines.push(...(await telling.repeated()), '');
  lines.push('All of it recomputed from the journal:', '', ...(await telling.verified()), '');
  return lines.join('\n');
}

/** The page, made in a transaction that is rolled back. */
export async function rolledBackPage(pool: Pool): Promise<string> {
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    return await journalPage(client);
  } finally {
    await client.query('ROLLBACK');
    client.release();
  }
}
