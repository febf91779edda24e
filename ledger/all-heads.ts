/**
 * Every head that any keeper ever recorded, held against the database. The newest ones, which `verifyHeads` reads, show that
 * the ledger is still the one of the last hour and a half. Whoever rewrote it before that, and kept the alarms of that hour
 * and a half from being heard, has heads of the rewritten ledger on top; the older ones below still contradict it.
 */
import type { Queryable } from '#infra/db';
import { contradictedExports } from './exported-heads.ts';
import {
  type BatchRow,
  checkAgainstHeads,
  differences,
  type HeadCheck,
  type HeadCheckOptions,
  type HeadProblem,
  type KeptHead,
  keeperOf,
  ownRecord,
  sortOut,
  verifyHeads,
} from './head-check.ts';
import { type HeadsHeld, type HeadWitnesses, headsReadMax, ledgerIdOf, statedHead } from './heads.ts';

/** Heads of each keeper that say the same about a rewritten past; more tell a person no more. */
const contradictionsMax = 1_000;

/** The batches of a page, if it has the form of one: each below the one before, none above what was asked for. */
function batchesOf(answer: HeadsHeld, upTo: bigint | undefined): readonly bigint[] | undefined {
  if (answer.state !== 'read') return undefined;
  const batches: bigint[] = [];
  let below = upTo === undefined ? undefined : upTo + 1n;
  for (const { head } of answer.heads) {
    const stated = statedHead(head);
    if (stated === undefined) return undefined;
    const batch = BigInt(stated.batch);
    if (below !== undefined && batch >= below) return undefined;
    batches.push(batch);
    below = batch;
  }
  return batches;
}

interface OlderHeads {
  /** Signed, and not of the batches they name. */
  readonly kept: readonly KeptHead[];
  /** Heads that are no evidence. */
  readonly unbelieved: readonly HeadProblem[];
  readonly unread: readonly string[];
}

/** Reads the heads of all witnesses from the newest to the first, page by page. */
class OlderHeadsReader {
  readonly #db: Queryable;
  readonly #publicKey: string;
  readonly #kept: KeptHead[] = [];
  readonly #unbelieved: HeadProblem[] = [];
  readonly #unread: string[] = [];
  /** Whoever does not answer, or shows what is no evidence, is not followed further: it could go on without end. */
  readonly #dropped = new Set<number>();

  constructor(db: Queryable, publicKey: string) {
    this.#db = db;
    this.#publicKey = publicKey;
  }

  async read(witnesses: Pick<HeadWitnesses, 'read'>): Promise<OlderHeads> {
    for (let upTo: bigint | undefined; ; ) {
      const answers = await witnesses.read(headsReadMax, upTo?.toString());
      const lowest: bigint[] = [];
      for (const answer of answers) {
        const batches = await this.#take(answer, upTo);
        const last = batches.at(-1);
        if (last !== undefined && batches.length >= headsReadMax) lowest.push(last);
      }
      // The highest of them: who has fewer heads in between shows some of them again.
      const [highest = 0n] = lowest.toSorted((a, b) => (a < b ? 1 : -1));
      const next = highest - 1n;
      if (next < 1n || this.#kept.length >= contradictionsMax) break;
      upTo = next;
    }
    return { kept: this.#kept, unbelieved: this.#unbelieved, unread: this.#unread };
  }

  /** The batches of the page, none for a keeper that is not followed. */
  async #take(answer: HeadsHeld, upTo: bigint | undefined): Promise<readonly bigint[]> {
    const { party } = answer;
    if (this.#dropped.has(party)) return [];
    const keeper = keeperOf(party);
    const batches = batchesOf(answer, upTo);
    if (answer.state === 'failed' || batches === undefined) {
      this.#dropped.add(party);
      this.#unread.push(
        `${keeper}: ${answer.state === 'failed' ? answer.reason : 'shows heads of another form or order'}`,
      );
      return [];
    }
    const contradicting = await this.#contradicting(answer.heads, batches);
    const { kept, problems } = sortOut(
      this.#publicKey,
      contradicting.map((head) => ({ head, keeper })),
    );
    this.#kept.push(...kept);
    this.#unbelieved.push(...problems);
    if (problems.length === 0) return batches;
    this.#dropped.add(party);
    return [];
  }

  /** Signatures are verified of these only; a head that the database agrees with needs none to contradict nothing. */
  async #contradicting(
    heads: readonly { readonly head: unknown }[],
    batches: readonly bigint[],
  ): Promise<readonly unknown[]> {
    const { rows } = await this.#db.query<BatchRow>(
      'SELECT no, last_seq, hash, recorded_ms FROM ledger.batch WHERE no = ANY ($1::bigint[])',
      [batches.map(String)],
    );
    const rowOf = new Map(rows.map((row) => [row.no, row]));
    return heads.flatMap(({ head }) => {
      const stated = statedHead(head);
      const row = stated === undefined ? undefined : rowOf.get(stated.batch);
      return stated !== undefined && row !== undefined && differences(row, stated).length === 0 ? [] : [head];
    });
  }
}

function merged<T>(first: readonly T[], second: readonly T[], nameOf: (one: T) => string): readonly T[] {
  const known = new Set(first.map(nameOf));
  return [...first, ...second.filter((one) => !known.has(nameOf(one)))];
}
const nameOf = ({ place, problem }: HeadProblem): string => `${place} ${problem}`;

/**
 * As {@link verifyHeads}, and all older heads too. One head a minute makes 5,000 pages a year of each keeper: for a look a
 * day, not a minute.
 */
export async function verifyAllHeads(db: Queryable, options: HeadCheckOptions): Promise<HeadCheck> {
  const { publicKey, witnesses } = options;
  const newest = await verifyHeads(db, options);
  const older =
    witnesses === undefined
      ? { kept: [], unbelieved: [], unread: [] }
      : await new OlderHeadsReader(db, publicKey).read(witnesses);
  const exported = await contradictedExports(db, ledgerIdOf(publicKey), contradictionsMax);
  const own = sortOut(
    publicKey,
    exported.map((head) => ({ head, keeper: ownRecord })),
  );
  const { problems } = await checkAgainstHeads(db, [...older.kept, ...own.kept]);
  const unbelieved = merged(newest.unbelieved ?? [], older.unbelieved, nameOf);
  return {
    ...newest,
    problems: merged(newest.problems, [...problems, ...own.problems, ...older.unbelieved], nameOf),
    ...(unbelieved.length === 0 ? {} : { unbelieved }),
    unread: merged(newest.unread, older.unread, (text) => text),
  };
}
