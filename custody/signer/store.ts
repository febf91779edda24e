/**
 * A co-signer's own durable store: one LMDB environment, a named database per kind of fact, canonical JSON values.
 * `overlappingSync: false` makes a commit return only after the data is on the disk; what was acknowledged survives a
 * kill. A restored old copy of the folder would forget spends and conflict sets: SECURITY.md names it.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Database, open } from 'lmdb';
import { canonicalJson } from '#core/canonical-json';
import { errorsOf, messageOf } from '#core/errors';
import { custodyErrors } from '#custody/protocol';

const fail = errorsOf(custodyErrors);

/** Named databases; the number is fixed when the environment is opened. */
const tableNames = [
  'aborts',
  'bans',
  'conflict-sets',
  'consumed',
  'documents',
  'first-sights',
  'freezes',
  'intent-sets',
  'ledger-heads',
  'log',
  'meta',
  'shares',
  'spend-intents',
  'spends',
] as const;
type TableName = (typeof tableNames)[number];
/** Address space, not disk: 16 GiB holds tens of millions of decisions. */
const mapBytes = 16 * 1024 ** 3;

/** Keys are ordered element by element: strings and numbers. */
type TableKey = string | number | readonly (string | number)[];

/** One kind of fact. Values are plain JSON objects; writes outside {@link SignerStore.transact} are not allowed. */
interface Table<V extends object> {
  get(key: TableKey): V | undefined;
  put(key: TableKey, value: V): void;
  remove(key: TableKey): void;
  /** The last entry from `start` (exclusive) to `end` (exclusive); neither may be a stored key. */
  last(start: TableKey, end: TableKey): V | undefined;
  /** Like {@link Table.last}, up to `count` entries, the last first. */
  lastOf(start: TableKey, end: TableKey, count: number): readonly V[];
  /** In key order from `start` (inclusive) to `end` (exclusive). */
  range(start: TableKey, end: TableKey): Iterable<{ readonly key: TableKey; readonly value: V }>;
}

export interface SignerStore {
  table<V extends object>(name: TableName): Table<V>;
  /**
   * Runs the action in one transaction that is on the disk when this returns; a throw undoes all of it. Nested calls join
   * the outer transaction.
   */
  transact<T>(action: () => T): T;
  close(): Promise<void>;
}

const ownKey = (key: TableKey) => (typeof key === 'object' ? [...key] : key);

/** @throws CUSTODY_STORE_CORRUPT when the folder cannot be opened as a store */
export function openSignerStore(dataDir: string): SignerStore {
  const path = join(dataDir, 'store');
  mkdirSync(path, { recursive: true, mode: 0o700 });
  let depth = 0;
  const root = (() => {
    try {
      return open<string, string>({
        path,
        encoding: 'string',
        overlappingSync: false,
        maxDbs: tableNames.length + 1,
        mapSize: mapBytes,
      });
    } catch (error) {
      throw fail(
        'CUSTODY_STORE_CORRUPT',
        `the store in ${path} cannot be opened: ${messageOf(error)}`,
        {},
        error,
      );
    }
  })();
  const databases = new Map<TableName, Database<string, (string | number)[] | string | number>>(
    tableNames.map((name) => [name, root.openDB({ name, encoding: 'string' })]),
  );

  function assertInTransaction(): void {
    if (depth === 0) throw fail('CUSTODY_STORE_CORRUPT', 'a write outside a transaction was attempted');
  }
  function parse<V>(name: TableName, text: string): V {
    try {
      return JSON.parse(text) as V;
    } catch (error) {
      throw fail('CUSTODY_STORE_CORRUPT', `a value in ${name} is not JSON`, { table: name }, error);
    }
  }

  return {
    table<V extends object>(name: TableName): Table<V> {
      const db = databases.get(name);
      if (db === undefined) throw fail('CUSTODY_STORE_CORRUPT', `there is no table ${name}`);
      const lastOf = (start: TableKey, end: TableKey, count: number): V[] => {
        const range = { start: ownKey(end), end: ownKey(start), reverse: true, limit: count };
        return [...db.getRange(range)].map(({ value }) => parse<V>(name, value));
      };
      return {
        get(key) {
          const text = db.get(ownKey(key));
          return text === undefined ? undefined : parse<V>(name, text);
        },
        put(key, value) {
          assertInTransaction();
          db.putSync(ownKey(key), canonicalJson(value));
        },
        remove(key) {
          assertInTransaction();
          db.removeSync(ownKey(key));
        },
        last: (start, end) => lastOf(start, end, 1)[0],
        lastOf,
        *range(start, end) {
          for (const { key, value } of db.getRange({ start: ownKey(start), end: ownKey(end) }))
            yield { key, value: parse<V>(name, value) };
        },
      };
    },
    transact(action) {
      depth += 1;
      try {
        return depth > 1 ? action() : root.transactionSync(action);
      } finally {
        depth -= 1;
      }
    },
    close: async () => await root.close(),
  };
}
