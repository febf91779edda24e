/**
 * The journal as a stream of events for other systems: every transfer once, in the order they were committed, without gaps.
 *
 * Why nothing is missed, unlike with a sequence or a timestamp column: `seq` is counted in the head's one row, and every
 * writer holds the lock on it from before it counts until its commit. So a transfer becomes visible only after all with
 * smaller `seq`, and a transaction that is rolled back takes back its numbers. A reader sees a prefix of the journal; what
 * comes after it is greater.
 *
 * The cursor is the consumer's: it stores the `seq` of the last event together with what it did about it, in one
 * transaction of its own, and asks again from there after a crash.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { errorsOf } from '#core/errors';
import type { Queryable } from '#infra/db';
import type { Transfer, TransferCode } from './contract.ts';
import { ledgerErrors } from './errors.ts';
import { transferColumns, transferJoins } from './reads.ts';
import { bigintMax, type TransferRow, transferOf } from './rows.ts';
import { journalBroken } from './walk.ts';

const fail = errorsOf(ledgerErrors);

/** Events of one portion: about 400 KB. */
export const eventsPerPortionMax = 1_000;
/** Transfers that one look at a few codes goes past: as many as the settlement books in a second or two. */
const transfersPassedMax = 32_768;
/** A look at a quiet journal is one row read. Twice the time at each empty look, so that a busy one is followed closely. */
const pollMs = { first: 20, longest: 1_000 } as const;

export interface EventsQuery {
  /** `seq` of the last event seen; 0 for the first. */
  readonly after: bigint;
  /** 1 to {@link eventsPerPortionMax}, which it is by default. */
  readonly limit?: number;
}

/** Where the journal ends; 0 while it is empty. */
export async function newestSeq(queryable: Queryable): Promise<bigint> {
  const { rows } = await queryable.query<{ last_seq: string }>('SELECT last_seq FROM ledger.head');
  return BigInt(rows[0]?.last_seq ?? 0);
}

/**
 * The next events, as they are committed; empty when there are none yet.
 * @throws LEDGER_QUESTION_INVALID; LEDGER_CURSOR_AHEAD when the consumer has seen more than there is;
 *   LEDGER_JOURNAL_BROKEN when a transfer is missing
 */
export async function readEvents(
  queryable: Queryable,
  { after, limit = eventsPerPortionMax }: EventsQuery,
): Promise<readonly Transfer[]> {
  if (!Number.isInteger(limit) || limit < 1 || limit > eventsPerPortionMax)
    throw fail('LEDGER_QUESTION_INVALID', `a portion has 1 to ${eventsPerPortionMax} events, not ${limit}`);
  const upTo = await endOfPortion(queryable, after, limit);
  if (upTo === after) return [];
  const { rows } = await queryable.query<TransferRow>(
    `SELECT ${transferColumns} FROM ledger.transfer AS t ${transferJoins}
      WHERE t.seq > $1 AND t.seq <= $2 ORDER BY t.seq`,
    [after, upTo],
  );
  const events = rows.map(transferOf);
  const gap = events.findIndex(({ seq }, at) => seq !== after + BigInt(at) + 1n);
  if (gap !== -1 || BigInt(events.length) !== upTo - after)
    throw journalBroken(`transfer ${after + BigInt(gap === -1 ? events.length : gap) + 1n} is missing`);
  return events;
}

/** `size` transfers further, or where the journal ends. The head is read first: what it names is committed, so all of it can be read afterwards. */
async function endOfPortion(queryable: Queryable, after: bigint, size: number): Promise<bigint> {
  if (after < 0n || after > bigintMax)
    throw fail('LEDGER_QUESTION_INVALID', `${after} is no position of the journal`);
  const lastSeq = await newestSeq(queryable);
  if (lastSeq < after)
    throw fail('LEDGER_CURSOR_AHEAD', `the journal ends at ${lastSeq}, before ${after}`, {
      after: after.toString(),
      lastSeq: lastSeq.toString(),
    });
  return after + BigInt(size) < lastSeq ? after + BigInt(size) : lastSeq;
}

/** What the consumer asked for among the transfers up to `upTo`, which is what it asks after next. */
export interface EventsOfCodes {
  readonly events: readonly Transfer[];
  readonly upTo: bigint;
}

/**
 * As {@link readEvents}, for who needs few kinds of transfers only: the others are counted, not read. A busy journal is mostly trades.
 * @throws as {@link readEvents}
 */
export async function readEventsOfCodes(
  queryable: Queryable,
  { after, codes }: { readonly after: bigint; readonly codes: readonly TransferCode[] },
): Promise<EventsOfCodes> {
  const upTo = await endOfPortion(queryable, after, transfersPassedMax);
  if (upTo === after) return { events: [], upTo };
  const { rows: counts } = await queryable.query<{ transfers: string }>(
    'SELECT count(*) AS transfers FROM ledger.transfer WHERE seq > $1 AND seq <= $2',
    [after, upTo],
  );
  const transfers = BigInt(counts[0]?.transfers ?? 0);
  if (transfers !== upTo - after)
    throw journalBroken(`of ${upTo - after} transfers after ${after} ${transfers} are there`);
  const { rows } = await queryable.query<TransferRow>(
    `SELECT ${transferColumns} FROM ledger.transfer AS t ${transferJoins}
      WHERE t.seq > $1 AND t.seq <= $2 AND t.code = ANY ($3::ledger.transfer_code[]) ORDER BY t.seq LIMIT ${eventsPerPortionMax}`,
    [after, upTo, codes],
  );
  const events = rows.map(transferOf);
  const last = events.at(-1);
  return { events, upTo: last !== undefined && events.length === eventsPerPortionMax ? last.seq : upTo };
}

/**
 * Portions of one event or more, without an end; waits where there is nothing yet.
 * @param options.signal ends it between two portions
 * @throws as {@link readEvents}, and what the database throws: ask again from the last event that was dealt with
 */
export async function* followEvents(
  queryable: Queryable,
  options: EventsQuery & { readonly signal?: AbortSignal },
): AsyncGenerator<readonly Transfer[], void> {
  const { signal, ...query } = options;
  let after = query.after;
  let waitMs: number = pollMs.first;
  while (signal?.aborted !== true) {
    const events = await readEvents(queryable, { ...query, after });
    const last = events.at(-1);
    if (last === undefined) {
      // An abort only wakes it up; the loop's condition ends it.
      await delay(waitMs, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
      waitMs = Math.min(waitMs * 2, pollMs.longest);
      continue;
    }
    yield events;
    after = last.seq;
    waitMs = pollMs.first;
  }
}
