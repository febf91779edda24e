/**
 * Cases for a person, and halts: what a case may stop, until two people lift it. What happened to either is kept in order
 * and never changed.
 */
import type { JsonValue } from '#core/canonical-json';
import { errorsOf, invariant } from '#core/errors';
import { infraErrors } from './contract.ts';
import type { Queryable, Tx } from './db.ts';

const fail = errorsOf(infraErrors);
/** A page of open cases or halts; a person works through them, a machine never needs all. */
const openCasesMax = 500;
/** Of one case, newest first beyond it: a person writes tens, the system one for each time a break goes or comes back. */
const caseEventsMax = 500;
/** Reasons kept for one halt; a person reads no longer list, and each comes with a case. */
const haltReasonsMax = 20;
/** One alone must not be able to let money move again. */
export const haltLiftersMin = 2;

export interface NewCase {
  readonly id: string;
  /** What happened, as one stable word (`reorg-after-final`). */
  readonly kind: string;
  /** What it happened to, as an id (`chain:eip155:31337`). At most one case per kind and subject is open. */
  readonly subject: string;
  readonly details: JsonValue;
}
export interface IncidentCase extends NewCase {
  readonly openedAt: Date;
  readonly ageMs: number;
  /** The person who works on it. */
  readonly owner: string | null;
}
/** Who acts where no person does. */
export const systemActor = 'system';
export interface CaseEvent {
  readonly at: Date;
  readonly event: 'opened' | 'assigned' | 'noted' | 'closed';
  readonly actor: string;
  /** The new owner, the note, or the resolution. */
  readonly note: string;
}
export interface CaseRecord extends IncidentCase {
  readonly closed: { readonly at: Date; readonly by: string; readonly resolution: string } | null;
  /** Oldest first. */
  readonly history: readonly CaseEvent[];
}

interface CaseRow {
  readonly id: string;
  readonly kind: string;
  readonly subject: string;
  readonly details: JsonValue;
  readonly opened_at: Date;
  readonly age_ms: string;
  readonly owner: string | null;
  readonly closed_at: Date | null;
  readonly closed_by: string | null;
  readonly resolution: string | null;
}
const caseColumns = `id, kind, subject, details, opened_at, owner, closed_at, closed_by, resolution,
  floor(extract(epoch FROM coalesce(closed_at, clock_timestamp()) - opened_at) * 1000)::bigint AS age_ms`;
const caseOf = (row: CaseRow): IncidentCase => ({
  id: row.id,
  kind: row.kind,
  subject: row.subject,
  details: row.details,
  openedAt: row.opened_at,
  ageMs: Number.parseInt(row.age_ms, 10),
  owner: row.owner,
});

/** The row of the case is locked by the caller, so that the events of one case have an order. */
async function appendEvent(tx: Tx, id: string, event: Omit<CaseEvent, 'at'>): Promise<void> {
  await tx.query(
    `INSERT INTO infra.case_event (case_id, seq, event, actor, note)
       SELECT $1, coalesce(max(seq), 0) + 1, $2, $3, $4 FROM infra.case_event WHERE case_id = $1`,
    [id, event.event, event.actor, event.note],
  );
}

/** Only an open case can be changed. @throws INFRA_CASE_NOT_OPEN */
async function changeOpen(tx: Tx, id: string, assignments: string, values: readonly string[]): Promise<void> {
  const changed = await tx.query(
    `UPDATE infra.incident_case SET ${assignments} WHERE id = $1 AND closed_at IS NULL`,
    [id, ...values],
  );
  if (changed.rowCount !== 1) throw fail('INFRA_CASE_NOT_OPEN', `there is no open case ${id.slice(0, 80)}`);
}

/**
 * Opens the case unless one of the same kind and subject is open; returns the id of the open one. A retry with the id of
 * a case that was closed meanwhile opens nothing.
 * @throws INFRA_CASE_ID_REUSED
 */
export async function openCase(tx: Tx, incident: NewCase): Promise<{ id: string; opened: boolean }> {
  const inserted = await tx.query(
    `INSERT INTO infra.incident_case (id, kind, subject, details) VALUES ($1, $2, $3, $4::jsonb)
     ON CONFLICT DO NOTHING`,
    [incident.id, incident.kind, incident.subject, JSON.stringify(incident.details)],
  );
  if (inserted.rowCount === 1) {
    await appendEvent(tx, incident.id, { event: 'opened', actor: systemActor, note: '' });
    return { id: incident.id, opened: true };
  }
  const { rows } = await tx.query<CaseRow>(
    `SELECT id, kind, subject FROM infra.incident_case
      WHERE id = $1 OR (kind = $2 AND subject = $3 AND closed_at IS NULL)
      ORDER BY (id = $1) DESC`,
    [incident.id, incident.kind, incident.subject],
  );
  const found = rows[0];
  if (found === undefined || found.kind !== incident.kind || found.subject !== incident.subject)
    throw fail('INFRA_CASE_ID_REUSED', `${incident.id} is the id of another case`, { id: incident.id });
  return { id: found.id, opened: false };
}

/** @throws INFRA_CASE_NOT_OPEN */
export async function closeCase(
  tx: Tx,
  id: string,
  said: { readonly resolution: string; readonly by: string },
): Promise<void> {
  await changeOpen(tx, id, 'closed_at = now(), closed_by = $2, resolution = $3', [said.by, said.resolution]);
  await appendEvent(tx, id, { event: 'closed', actor: said.by, note: said.resolution });
}

/** Gives the case to a person; again with another owner it is handed over. @throws INFRA_CASE_NOT_OPEN */
export async function assignCase(
  tx: Tx,
  id: string,
  said: { readonly owner: string; readonly by: string },
): Promise<void> {
  await changeOpen(tx, id, 'owner = $2', [said.owner]);
  await appendEvent(tx, id, { event: 'assigned', actor: said.by, note: said.owner });
}

/** @throws INFRA_CASE_NOT_OPEN */
export async function noteCase(
  tx: Tx,
  id: string,
  said: { readonly note: string; readonly by: string },
): Promise<void> {
  await changeOpen(tx, id, 'owner = owner', []);
  await appendEvent(tx, id, { event: 'noted', actor: said.by, note: said.note });
}

/** The newest case of this kind and subject, open or closed, with its history. */
export async function newestCase(
  db: Queryable,
  of: Pick<NewCase, 'kind' | 'subject'>,
): Promise<CaseRecord | undefined> {
  const { rows } = await db.query<{ id: string }>(
    `SELECT id FROM infra.incident_case WHERE kind = $1 AND subject = $2
      ORDER BY (closed_at IS NULL) DESC, opened_at DESC, id DESC LIMIT 1`,
    [of.kind, of.subject],
  );
  return rows[0] === undefined ? undefined : await readCase(db, rows[0].id);
}

/** Open cases, oldest first. */
export async function openCases(db: Queryable): Promise<readonly IncidentCase[]> {
  const { rows } = await db.query<CaseRow>(
    `SELECT ${caseColumns} FROM infra.incident_case
      WHERE closed_at IS NULL ORDER BY opened_at, id LIMIT ${openCasesMax}`,
  );
  return rows.map(caseOf);
}

/** The case, open or closed, with its history; undefined when there is none. */
export async function readCase(db: Queryable, id: string): Promise<CaseRecord | undefined> {
  const { rows } = await db.query<CaseRow>(`SELECT ${caseColumns} FROM infra.incident_case WHERE id = $1`, [
    id,
  ]);
  const row = rows[0];
  if (row === undefined) return undefined;
  const events = await db.query<CaseEvent>(
    `SELECT at, event, actor, note FROM infra.case_event WHERE case_id = $1 ORDER BY seq DESC LIMIT ${caseEventsMax}`,
    [id],
  );
  const { closed_at: at, closed_by: by, resolution } = row;
  return {
    ...caseOf(row),
    closed: at === null ? null : { at, by: by ?? '', resolution: resolution ?? '' },
    history: events.rows.reverse(),
  };
}

export interface Halt {
  /** What stands still (`chain:eip155:31337`). */
  readonly scope: string;
  /** Why, the first reason first. Another one may come while it stands still: who lifts it must know them all. */
  readonly reason: string;
  readonly setAt: Date;
}

/** Whoever sets or lifts the halt of this scope waits until the transaction ends. */
export async function lockHalt(tx: Tx, scope: string): Promise<void> {
  await tx.query("SELECT pg_advisory_xact_lock(hashtextextended('infra.halt/' || $1, 0))", [scope]);
}

/** Halts the scope, or adds the reason to those for which it stands still already. */
export async function setHalt(tx: Tx, halt: { scope: string; reason: string }): Promise<void> {
  await lockHalt(tx, halt.scope);
  await tx.query('INSERT INTO infra.halt (scope, reason) VALUES ($1, $2) ON CONFLICT (scope) DO NOTHING', [
    halt.scope,
    halt.reason,
  ]);
  await tx.query(
    `INSERT INTO infra.halt_event (scope, set_at, event, reason, people)
       SELECT h.scope, h.set_at, 'set', $2, '{}' FROM infra.halt AS h
        WHERE h.scope = $1
          AND (SELECT count(*) < ${haltReasonsMax} AND bool_and(e.reason <> $2) IS NOT FALSE
                 FROM infra.halt_event AS e WHERE (e.scope, e.set_at, e.event) = (h.scope, h.set_at, 'set'))`,
    [halt.scope, halt.reason],
  );
}

const haltSql = `
  SELECT h.scope, h.set_at,
         concat_ws('; ', h.reason, (SELECT string_agg(e.reason, '; ' ORDER BY e.id) FROM infra.halt_event AS e
           WHERE (e.scope, e.set_at, e.event) = (h.scope, h.set_at, 'set') AND e.reason <> h.reason)) AS reason
    FROM infra.halt AS h`;
interface HaltRow {
  readonly scope: string;
  readonly reason: string;
  readonly set_at: Date;
}
const haltOfRow = ({ scope, reason, set_at: setAt }: HaltRow): Halt => ({ scope, reason, setAt });

export async function haltOf(db: Queryable, scope: string): Promise<Halt | undefined> {
  const { rows } = await db.query<HaltRow>(`${haltSql} WHERE h.scope = $1`, [scope]);
  return rows[0] === undefined ? undefined : haltOfRow(rows[0]);
}

/** All halts, oldest first; there is one scope per chain and per wallet, so the list is short. */
export async function listHalts(db: Queryable): Promise<readonly Halt[]> {
  const { rows } = await db.query<HaltRow>(`${haltSql} ORDER BY h.set_at, h.scope LIMIT ${openCasesMax}`);
  return rows.map(haltOfRow);
}

/**
 * The scope goes on: the caller has seen to it that these people said so. Returns whether there was a halt to lift.
 * @throws CORE_INVARIANT for fewer than two different people
 */
export async function liftHalt(
  tx: Tx,
  lift: { readonly scope: string; readonly reason: string; readonly people: readonly string[] },
): Promise<boolean> {
  const people = [...new Set(lift.people)].sort();
  invariant(people.length >= haltLiftersMin, 'a halt is lifted by two different people', { people });
  await lockHalt(tx, lift.scope);
  const held = await tx.query('SELECT 1 FROM infra.halt WHERE scope = $1', [lift.scope]);
  if (held.rowCount !== 1) return false;
  // With its time as the database has it: a JavaScript date would lose the microseconds.
  await tx.query(
    `INSERT INTO infra.halt_event (scope, set_at, event, reason, people)
       SELECT scope, set_at, 'lifted', $2, $3 FROM infra.halt WHERE scope = $1`,
    [lift.scope, lift.reason, people],
  );
  await tx.query('DELETE FROM infra.halt WHERE scope = $1', [lift.scope]);
  return true;
}
