/**
 * Holds signed heads against the database. `ledger.verify` proves that the chain is whole from the first batch to the last;
 * that it is still the same chain, and that none of its end is missing, only a head kept elsewhere can show.
 */
import { messageOf } from '#core/errors';
import type { Queryable } from '#infra/db';
import { readExportedHeads } from './exported-heads.ts';
import {
  type HeadsHeld,
  type HeadWitnesses,
  headsReadMax,
  isSameHead,
  type LedgerHead,
  ledgerIdOf,
  type SignedHead,
  verifyHead,
} from './heads.ts';

export const ownRecord = "the ledger's own record";

/** A head whose signature is verified, and who has it. */
export interface KeptHead {
  readonly head: SignedHead;
  readonly keeper: string;
}
export interface HeadProblem {
  readonly check: 'exported-head';
  /** The batch or keeper concerned. */
  readonly place: string;
  readonly problem: string;
}
export interface HeadCheck {
  readonly problems: readonly HeadProblem[];
  /** Those of them that rest on the word of one keeper alone, without the ledger's signature; absent when there are none. */
  readonly unbelieved?: readonly HeadProblem[];
  /** The newest batch that a signed head proves, and who has that head; absent when there is none. */
  readonly proven?: {
    readonly batch: bigint;
    readonly signedMs: number;
    readonly keepers: readonly string[];
  };
  /** Batches after that one: nothing but the database itself speaks for them. */
  readonly unprovenBatches: bigint;
  /** Keepers that could not be asked, each with the reason. */
  readonly unread: readonly string[];
}

export const found = (place: string, problem: string): HeadProblem => ({
  check: 'exported-head',
  place,
  problem,
});
export const keeperOf = (party: number): string => `co-signer ${party}`;
const timeOf = (ms: number): string => new Date(ms).toISOString();

interface Held {
  readonly statement: LedgerHead;
  readonly keepers: string[];
}

/** One entry per different head, oldest batch first. */
function grouped(heads: readonly KeptHead[]): Held[] {
  const held: Held[] = [];
  const byBatch = new Map<string, Held[]>();
  for (const { head, keeper } of heads) {
    const { statement } = head;
    const ofBatch = byBatch.get(statement.batch) ?? [];
    const known = ofBatch.find((other) => isSameHead(other.statement, statement));
    if (known === undefined) {
      const entry = { statement, keepers: [keeper] };
      byBatch.set(statement.batch, [...ofBatch, entry]);
      held.push(entry);
    } else if (!known.keepers.includes(keeper)) known.keepers.push(keeper);
  }
  const batchOf = ({ statement }: Held): bigint => BigInt(statement.batch);
  return held.sort((a, b) => (batchOf(a) < batchOf(b) ? -1 : batchOf(a) > batchOf(b) ? 1 : 0));
}

export interface BatchRow {
  readonly no: string;
  readonly last_seq: string;
  readonly hash: Buffer;
  readonly recorded_ms: string;
}

/** What of the batch is no longer as it was signed. */
export function differences(row: BatchRow, statement: LedgerHead): string[] {
  return [
    ...(`sha256:${row.hash.toString('hex')}` === statement.hash ? [] : ['hash']),
    ...(row.last_seq === statement.lastSeq ? [] : ['last_seq']),
    ...(row.recorded_ms === String(statement.recordedMs) ? [] : ['recorded_ms']),
  ];
}

function missing({ statement, keepers }: Held, newest: bigint): HeadProblem {
  const { batch, signedMs } = statement;
  const exported = `batch ${batch} was exported at ${timeOf(signedMs)} (${keepers.join(', ')})`;
  if (BigInt(batch) <= newest) return found(`batch ${batch}`, `is missing: ${exported}`);
  return found(
    newest === 0n ? 'batch 1' : `batch ${newest}`,
    newest === 0n
      ? `all batches are missing: ${exported}`
      : `batches after ${newest} are missing: ${exported}`,
  );
}

/**
 * Every head against the batch it names; one statement over the named batches and the newest number, so it may run while
 * others write.
 */
export async function checkAgainstHeads(
  db: Queryable,
  heads: readonly KeptHead[],
): Promise<Pick<HeadCheck, 'problems' | 'proven' | 'unprovenBatches'>> {
  const held = grouped(heads);
  const { rows } = await db.query<BatchRow>(
    `SELECT no, last_seq, hash, recorded_ms FROM ledger.batch
      WHERE no = ANY ($1::bigint[]) OR no = (SELECT max(no) FROM ledger.batch)`,
    [held.map(({ statement }) => statement.batch)],
  );
  const rowOf = new Map(rows.map((row) => [row.no, row]));
  const newest = rows.reduce((max, { no }) => (BigInt(no) > max ? BigInt(no) : max), 0n);
  const problems: HeadProblem[] = [];
  let proven: HeadCheck['proven'];
  let cutOff: Held | undefined;
  for (const entry of held) {
    const { statement, keepers } = entry;
    const row = rowOf.get(statement.batch);
    if (row === undefined) {
      // One problem for everything that was cut off; the highest batch tells the most.
      if (BigInt(statement.batch) > newest) cutOff = entry;
      else problems.push(missing(entry, newest));
      continue;
    }
    const changed = differences(row, statement);
    if (changed.length === 0)
      proven = { batch: BigInt(statement.batch), signedMs: statement.signedMs, keepers };
    else
      problems.push(
        found(
          `batch ${statement.batch}`,
          `was changed (${changed.join(', ')}) after it was exported at ${timeOf(statement.signedMs)} (${keepers.join(', ')})`,
        ),
      );
  }
  if (cutOff !== undefined) problems.push(missing(cutOff, newest));
  for (const { statement } of held.filter(
    (entry, at) => held[at - 1]?.statement.batch === entry.statement.batch,
  ))
    problems.push(found(`batch ${statement.batch}`, "two different heads of it bear the ledger's signature"));
  return {
    problems,
    ...(proven === undefined ? {} : { proven }),
    unprovenBatches: newest - (proven?.batch ?? 0n),
  };
}

export function headsOf(answer: HeadsHeld): readonly { readonly party: number; readonly head: unknown }[] {
  return answer.state === 'read' ? answer.heads.map(({ head }) => ({ party: answer.party, head })) : [];
}

/** Heads of this key apart from the rest. A keeper may show anything; only the ledger's signature makes it evidence. */
export function sortOut(
  publicKey: string,
  shown: readonly { readonly head: unknown; readonly keeper: string }[],
): { readonly kept: KeptHead[]; readonly problems: HeadProblem[] } {
  const kept: KeptHead[] = [];
  const problems: HeadProblem[] = [];
  for (const { head, keeper } of shown)
    try {
      kept.push({ head: verifyHead(head, publicKey), keeper });
    } catch (error) {
      problems.push(found(keeper, `shows a head that is no evidence: ${messageOf(error)}`));
    }
  return { kept, problems };
}

export interface HeadCheckOptions {
  /** The ledger's, Ed25519, 32 bytes hex; from its key or a configuration, never from the database. */
  readonly publicKey: string;
  /** Absent: only the database's own record is asked, which whoever can delete there can shorten. */
  readonly witnesses?: Pick<HeadWitnesses, 'read'>;
}

/**
 * The newest heads of all keepers, the database's own record among them, held against the batches of the database. Who
 * rewrote the ledger before these were signed is found by the older ones only: see `verifyAllHeads`.
 */
export async function verifyHeads(db: Queryable, options: HeadCheckOptions): Promise<HeadCheck> {
  const { publicKey, witnesses } = options;
  // Witnesses first: what they have was committed in the database before it was sent to them.
  const answers = (await witnesses?.read(headsReadMax)) ?? [];
  const unread = answers.flatMap((answer) =>
    answer.state === 'failed' ? [`${keeperOf(answer.party)}: ${answer.reason}`] : [],
  );
  const witnessed = sortOut(
    publicKey,
    answers.flatMap(headsOf).map(({ party, head }) => ({ head, keeper: keeperOf(party) })),
  );
  const own = sortOut(
    publicKey,
    (
      await readExportedHeads(db, ledgerIdOf(publicKey), {
        newest: headsReadMax,
        batches: witnessed.kept.map(({ head }) => head.statement.batch),
      })
    ).map((head) => ({ head, keeper: ownRecord })),
  );
  const recorded = new Set(own.kept.map(({ head }) => head.statement.batch));
  const forgotten = grouped(witnessed.kept).filter(({ statement }) => !recorded.has(statement.batch));
  const checked = await checkAgainstHeads(db, [...witnessed.kept, ...own.kept]);
  return {
    ...checked,
    problems: [
      ...checked.problems,
      ...witnessed.problems,
      ...own.problems,
      ...forgotten.map(({ statement, keepers }) =>
        found(
          `batch ${statement.batch}`,
          `its export at ${timeOf(statement.signedMs)} is missing from ${ownRecord} (${keepers.join(', ')})`,
        ),
      ),
    ],
    ...(witnessed.problems.length === 0 ? {} : { unbelieved: witnessed.problems }),
    unread,
  };
}
