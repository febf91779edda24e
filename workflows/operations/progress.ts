/** Rounds over what is too much for one look: where the next one goes on. */
import type { Queryable, Tx } from '#infra/db';

export interface Progress {
  readonly scope: string;
  readonly position: string;
}

export async function positionOf(db: Queryable, scope: string, first: string): Promise<string> {
  const { rows } = await db.query<{ position: string }>(
    'SELECT position FROM operations.progress WHERE scope = $1',
    [scope],
  );
  return rows[0]?.position ?? first;
}

/** To be kept with the result of the look. */
export async function keepProgress(tx: Tx, progress: readonly Progress[]): Promise<void> {
  for (const { scope, position } of progress)
    await tx.query(
      `INSERT INTO operations.progress (scope, position) VALUES ($1, $2)
       ON CONFLICT (scope) DO UPDATE SET position = excluded.position`,
      [scope, position],
    );
}
