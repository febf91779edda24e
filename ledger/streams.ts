/**
 * Streams of events from outside that are booked in order and once: the position advances in the transaction that books,
 * and only from where it is.
 */
import { errorsOf } from '#core/errors';
import type { Queryable, Tx } from '#infra/db';
import { ledgerErrors, type StreamPortion } from './contract.ts';
import { bigintMax } from './rows.ts';

const fail = errorsOf(ledgerErrors);
/** As in `ledger/sql/0014_streams.sql`. */
const streamPattern = /^[!-~]{1,128}$/;

/** 0 for a stream nothing was booked of. */
export async function streamPosition(queryable: Queryable, stream: string): Promise<bigint> {
  const { rows } = await queryable.query<{ position: string }>(
    'SELECT position FROM ledger.stream WHERE name = $1',
    [stream],
  );
  return BigInt(rows[0]?.position ?? '0');
}

/**
 * Whether the portion is to be booked now; false if all of it was booked before.
 * @throws LEDGER_STREAM_INVALID; LEDGER_STREAM_GAP if it neither follows the position nor lies before it
 */
export async function advanceStream(tx: Tx, { stream, after, upTo }: StreamPortion): Promise<boolean> {
  if (!streamPattern.test(stream) || after < 0n || upTo <= after || upTo > bigintMax)
    throw fail('LEDGER_STREAM_INVALID', `${after} to ${upTo} of "${stream}" is not a portion of a stream`);
  const { rows } = await tx.query<{ position: string }>(
    'SELECT ledger.advance_stream($1, $2, $3) AS position',
    [stream, after.toString(), upTo.toString()],
  );
  const position = BigInt(rows[0]?.position ?? '0');
  if (position === after) return true;
  if (position >= upTo) return false;
  throw fail(
    'LEDGER_STREAM_GAP',
    `${stream} is booked up to ${position}, the portion starts after ${after}`,
    {
      stream,
      position: position.toString(),
      after: after.toString(),
      upTo: upTo.toString(),
    },
  );
}
