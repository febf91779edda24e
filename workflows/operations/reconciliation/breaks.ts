/** What a run found becomes cases and halts, and what it no longer found is told to whoever works on the case. */
import { derivedId } from '#core/ids';
import type { ChainId } from '#core/money';
import { noteCase, openCase, readCase, setHalt, systemActor } from '#infra/cases';
import type { Tx } from '#infra/db';
import { type Break, breakKey, consequenceOf } from '#ledger/contract';
import { haltScopes } from '../halts.ts';

interface BreakRow {
  readonly key: string;
  readonly check_name: string;
  readonly subject: string;
  readonly runs: number;
  readonly at_stake: string;
  readonly case_id: string | null;
  readonly case_difference: string | null;
  readonly case_at_stake: string | null;
}
const breakColumns = `key, check_name, subject, runs, at_stake::text, case_id, case_difference::text, case_at_stake::text`;

export interface FoundBreaks {
  readonly chain: ChainId;
  readonly runId: string;
  readonly breaks: readonly Break[];
  /** Whether this run has looked at what the break is about; what it has not looked at stays as it is. */
  readonly hasLooked: (row: {
    readonly key: string;
    readonly check: string;
    readonly subject: string;
  }) => boolean;
  readonly boundUnits: bigint;
}

/** The watcher opens one for the same fact when it sees it in a block: one fact, one case. */
const caseKindOf = (found: Break): string =>
  found.check === 'outflow-without-intent' ? found.check : `reconciliation-${found.check}`;

async function standingRow(tx: Tx, chain: ChainId, found: Break): Promise<BreakRow> {
  const { rows } = await tx.query<BreakRow>(
    `INSERT INTO operations.reconciliation_break AS b
       (chain, key, check_name, subject, unit, wallet_id, difference, at_stake, problem, runs)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1)
     ON CONFLICT (chain, key) DO UPDATE
       SET difference = excluded.difference, at_stake = excluded.at_stake, problem = excluded.problem,
           runs = b.runs + 1
     RETURNING ${breakColumns}`,
    [
      chain,
      breakKey(found),
      found.check,
      found.subject,
      found.unit,
      found.walletId,
      found.difference.toString(),
      found.atStake.toString(),
      found.problem,
    ],
  );
  const [row] = rows;
  if (row === undefined) throw new TypeError('an upsert gave no row');
  return row;
}

/** Of an observed break only that counts which two runs in a row have shown: its loss may grow by one wrong answer. */
function shown(found: Break, before: BreakRow | undefined): Break {
  if (found.source === 'snapshot' || before === undefined) return found;
  const atStakeBefore = BigInt(before.at_stake);
  return found.atStake > atStakeBefore ? { ...found, atStake: atStakeBefore } : found;
}

/**
 * `nothing`: people know. `worse`: they work on the case, and more is at stake than they were told. `case`: there is no
 * case, or it was closed knowing another difference.
 */
async function newsOf(tx: Tx, row: BreakRow, found: Break): Promise<'nothing' | 'worse' | 'case'> {
  if (row.case_id === null) return 'case';
  const isWorse = found.atStake > BigInt(row.case_at_stake ?? '0');
  const isOpen = (await readCase(tx, row.case_id))?.closed === null;
  if (isOpen) return isWorse ? 'worse' : 'nothing';
  return isWorse || row.case_difference !== found.difference.toString() ? 'case' : 'nothing';
}

async function openCaseOf(
  tx: Tx,
  { chain, runId }: FoundBreaks,
  found: Break,
  payments: string,
): Promise<{ id: string; opened: boolean }> {
  return await openCase(tx, {
    id: derivedId('case', `reconciliation/${chain}/${breakKey(found)}/${runId}`),
    kind: caseKindOf(found),
    subject: found.subject,
    details: {
      chain,
      wallet: found.walletId,
      unit: found.unit,
      difference: found.difference.toString(),
      atStake: found.atStake.toString(),
      problem: found.problem,
      payments,
    },
  });
}

/** Returns whether it opened a case. */
async function report(
  tx: Tx,
  run: FoundBreaks,
  found: Break,
  before: BreakRow | undefined,
): Promise<boolean> {
  const row = await standingRow(tx, run.chain, found);
  const counted = shown(found, before);
  const consequence = consequenceOf(counted, { runs: row.runs, boundUnits: run.boundUnits });
  if (consequence === 'wait') return false;
  const news = await newsOf(tx, row, counted);
  if (news === 'nothing') return false;
  const payments = consequence === 'case-and-halt' ? 'halted' : 'go on';
  let told = { id: row.case_id ?? '', opened: false };
  if (news === 'case') told = await openCaseOf(tx, run, counted, payments);
  else
    await noteCase(tx, told.id, {
      by: systemActor,
      note: `more is at stake, ${counted.atStake}: ${found.problem}; payments: ${payments}`,
    });
  await tx.query(
    `UPDATE operations.reconciliation_break SET case_id = $3, case_difference = $4, case_at_stake = $5
      WHERE chain = $1 AND key = $2`,
    [run.chain, row.key, told.id, found.difference.toString(), counted.atStake.toString()],
  );
  if (consequence === 'case-and-halt')
    await setHalt(tx, {
      scope: found.walletId === null ? haltScopes.ledger : haltScopes.wallet(found.walletId),
      reason: `${found.check} ${found.subject}: ${found.problem}`.slice(0, 500),
    });
  return told.opened;
}

/** The case stays open for a person, who may want to know why it was there. */
async function forget(tx: Tx, chain: ChainId, runId: string, row: BreakRow): Promise<void> {
  await tx.query('DELETE FROM operations.reconciliation_break WHERE chain = $1 AND key = $2', [
    chain,
    row.key,
  ]);
  if (row.case_id === null || (await readCase(tx, row.case_id))?.closed !== null) return;
  await noteCase(tx, row.case_id, { by: systemActor, note: `gone: run ${runId} no longer finds it` });
}

/** Returns how many cases were opened. */
export async function bookBreaks(tx: Tx, found: FoundBreaks): Promise<number> {
  const { rows } = await tx.query<BreakRow>(
    `SELECT ${breakColumns} FROM operations.reconciliation_break WHERE chain = $1 ORDER BY key FOR UPDATE`,
    [found.chain],
  );
  const keys = new Set(found.breaks.map(breakKey));
  const before = new Map(rows.map((row) => [row.key, row]));
  for (const row of rows) {
    const { key, check_name: check, subject } = row;
    if (!keys.has(key) && found.hasLooked({ key, check, subject }))
      await forget(tx, found.chain, found.runId, row);
  }
  let opened = 0;
  for (const each of found.breaks) if (await report(tx, found, each, before.get(breakKey(each)))) opened += 1;
  return opened;
}
