/** Cases for a person, and halts: what a case may stop, until somebody lifts it. */
import type { JsonValue } from '#core/canonical-json';
import { errorsOf } from '#core/errors';
import { infraErrors } from './contract.ts';
import type { Queryable, Tx } from './db.ts';

const fail = errorsOf(infraErrors);
/** A page of open cases or halts; a person works through them, a machine never needs all. */
const openCasesMax = 500;

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
}

interface CaseRow {
  readonly id: string;
  readonly kind: string;
  readonly subject: string;
  readonly details: JsonValue;
  readonly opened_at: Date;
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
  if (inserted.rowCount === 1) return { id: incident.id, opened: true };
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
export async function closeCase(tx: Tx, id: string, resolution: string): Promise<void> {
  const closed = await tx.query(
    `UPDATE infra.incident_case SET closed_at = now(), resolution = $2 WHERE id = $1 AND closed_at IS NULL`,
    [id, resolution],
  );
  if (closed.rowCount !== 1) throw fail('INFRA_CASE_NOT_OPEN', `there is no open case ${id}`, { id });
}

/** Open cases, oldest first. */
export async function openCases(db: Queryable): Promise<readonly IncidentCase[]> {
  const { rows } = await db.query<CaseRow>(
    `SELECT id, kind, subject, details, opened_at FROM infra.incident_case
      WHERE closed_at IS NULL ORDER BY opened_at, id LIMIT ${openCasesMax}`,
  );
  return rows.map((row) => ({
    id: row.id,
    kind: row.kind,
    subject: row.subject,
    details: row.details,
    openedAt: row.opened_at,
  }));
}

export interface Halt {
  /** What stands still (`chain:eip155:31337`). */
  readonly scope: string;
  readonly reason: string;
  readonly setAt: Date;
}

/** Halts the scope; the first reason stays until the halt is lifted. */
export async function setHalt(tx: Tx, halt: { scope: string; reason: string }): Promise<void> {
  await tx.query('INSERT INTO infra.halt (scope, reason) VALUES ($1, $2) ON CONFLICT (scope) DO NOTHING', [
    halt.scope,
    halt.reason,
  ]);
}

export async function haltOf(db: Queryable, scope: string): Promise<Halt | undefined> {
  const { rows } = await db.query<{ scope: string; reason: string; set_at: Date }>(
    'SELECT scope, reason, set_at FROM infra.halt WHERE scope = $1',
    [scope],
  );
  const row = rows[0];
  return row === undefined ? undefined : { scope: row.scope, reason: row.reason, setAt: row.set_at };
}

/** All halts, oldest first; there is one scope per chain and per wallet, so the list is short. */
export async function listHalts(db: Queryable): Promise<readonly Halt[]> {
  const { rows } = await db.query<{ scope: string; reason: string; set_at: Date }>(
    `SELECT scope, reason, set_at FROM infra.halt ORDER BY set_at, scope LIMIT ${openCasesMax}`,
  );
  return rows.map((row) => ({ scope: row.scope, reason: row.reason, setAt: row.set_at }));
}

/** Returns whether there was a halt to lift. */
export async function liftHalt(tx: Tx, scope: string): Promise<boolean> {
  const lifted = await tx.query('DELETE FROM infra.halt WHERE scope = $1', [scope]);
  return lifted.rowCount === 1;
}
