/**
 * The co-signer's append-only, hash-chained record of everything it decided. Record n holds the hash of record n - 1, so
 * that no record can be changed, dropped or inserted without changing every later one; the head is what an operator
 * compares with other co-signers and backups.
 */
import { hashJson, type JsonValue, type Sha256 } from '#core/canonical-json';
import { errorsOf } from '#core/errors';
import type { Clock } from '#core/ports';
import { custodyErrors } from '#custody/protocol';
import type { SignerStore } from './store.ts';

const fail = errorsOf(custodyErrors);

type RecordKind =
  | 'started'
  | 'refused'
  | 'first-sight'
  | 'committed'
  | 'concluded'
  | 'bundle-activated'
  | 'frozen'
  | 'lifted'
  | 'banned'
  | 'share-saved'
  | 'share-activated'
  | 'ledger-head'
  | 'ledger-head-refused';

export interface DecisionRecord {
  /** From 0, without gaps. */
  readonly seq: number;
  /** Hash of the record before; null for the first. */
  readonly prev: Sha256 | null;
  /** Unix milliseconds, never below the record before. */
  readonly at: number;
  readonly kind: RecordKind;
  readonly body: Readonly<Record<string, JsonValue>>;
}
interface LogHead {
  readonly seq: number;
  readonly hash: Sha256;
  readonly at: number;
}

export interface DecisionLog {
  /**
   * Appends in the running transaction, or in one of its own.
   * @throws CUSTODY_STORE_CORRUPT when the last record is not the one the head names: nothing is decided on such a log
   */
  append(kind: RecordKind, body: Readonly<Record<string, JsonValue>>): DecisionRecord;
  head(): LogHead | undefined;
  records(fromSeq?: number): Iterable<DecisionRecord>;
  /** Recomputes the chain. @throws CUSTODY_STORE_CORRUPT at the first record that does not fit */
  verify(): void;
}

const headKey = 'log-head';
/** Far above what one co-signer can write; the exclusive end of a range over all records. */
const seqEnd = 0xffff_ffff;

/** Opens and verifies the log. @throws CUSTODY_STORE_CORRUPT */
export function openDecisionLog(store: SignerStore, clock: Clock): DecisionLog {
  const table = store.table<DecisionRecord>('log');
  const meta = store.table<LogHead>('meta');

  function broken(seq: number, what: string): Error {
    return fail('CUSTODY_STORE_CORRUPT', `decision log, record ${seq}: ${what}`, { seq });
  }

  const log: DecisionLog = {
    append: (kind, body) =>
      store.transact(() => {
        const head = meta.get(headKey);
        const seq = head === undefined ? 0 : head.seq + 1;
        if (table.get(seq) !== undefined) throw broken(seq, 'exists beyond the head');
        const last = head === undefined ? undefined : table.get(head.seq);
        if (head !== undefined && (last === undefined || hashJson(last) !== head.hash))
          throw broken(head.seq, 'is not the one that was written');
        const record: DecisionRecord = {
          seq,
          prev: head?.hash ?? null,
          // A clock that stepped back must not break the chain's order; the policy check refuses to sign under it.
          at: Math.max(clock.nowMs(), head?.at ?? 0),
          kind,
          body,
        };
        table.put(seq, record);
        meta.put(headKey, { seq, hash: hashJson(record), at: record.at });
        return record;
      }),
    head: () => meta.get(headKey),
    *records(fromSeq = 0) {
      for (const { value } of table.range(fromSeq, seqEnd)) yield value;
    },
    verify() {
      let last: LogHead | undefined;
      for (const record of log.records()) {
        const seq = last === undefined ? 0 : last.seq + 1;
        if (record.seq !== seq) throw broken(seq, 'is missing');
        if (record.prev !== (last?.hash ?? null)) throw broken(seq, 'does not follow the record before it');
        if (record.at < (last?.at ?? 0)) throw broken(seq, 'is older than the record before it');
        last = { seq, hash: hashJson(record), at: record.at };
      }
      const head = meta.get(headKey);
      if (head?.seq !== last?.seq || head?.hash !== last?.hash || head?.at !== last?.at)
        throw broken(head?.seq ?? 0, 'is not the recorded head');
    },
  };
  log.verify();
  return log;
}
