/** The certificate of a final payout: everything that proves it, in one document that needs none of our servers. */
import { attemptsOf, outgoingOf } from '#chains';
import type { Sha256 } from '#core/canonical-json';
import { errorsOf, invariant } from '#core/errors';
import { parseId } from '#core/ids';
import { type Certificate, workflowErrors } from '../contract.ts';
import type { OperationsDeps } from './context.ts';
import { pinnedDocument, readIntent } from './intents.ts';
import { storedApprovals } from './judgement.ts';
import { readWithdrawal, type WithdrawalRow } from './rows.ts';

const fail = errorsOf(workflowErrors);

async function pinned(
  deps: OperationsDeps,
  hash: string | null,
): Promise<{ readonly hash: Sha256; readonly document: unknown }> {
  invariant(hash !== null, 'a decided withdrawal names the documents it was decided under');
  return { hash: hash as Sha256, document: await pinnedDocument(deps.pool, hash) };
}

async function build(deps: OperationsDeps, row: WithdrawalRow): Promise<Certificate> {
  const { signed, hash } = await readIntent(deps.pool, row.intent_id);
  const outgoing = await outgoingOf(deps.pool, row.intent_id);
  const mined = outgoing?.mined;
  invariant(mined !== undefined, 'a final withdrawal was mined', { id: row.id });
  const attempt = (await attemptsOf(deps.pool, row.intent_id)).find(
    (each) => each.signed?.txId === mined.txId,
  );
  invariant(attempt?.signed !== undefined, 'the bytes of a final withdrawal are stored', { id: row.id });
  const root = await deps.custody.walletRoot(row.wallet_id);
  const journal = await deps.ledger.transfersByReference(row.id);
  return {
    format: 'strongroom/certificate/v1',
    withdrawalId: row.id,
    intent: signed,
    intentHash: hash,
    policy: await pinned(deps, row.policy_hash),
    roster: await pinned(deps, row.roster_hash),
    decision: row.decision,
    approvals: await storedApprovals(deps.pool, row.id, {
      policyHash: row.policy_hash,
      rosterHash: row.roster_hash,
    }),
    wallet: {
      id: row.wallet_id,
      publicKey: Buffer.from(root.publicKey).toString('hex'),
      chainCode: Buffer.from(root.chainCode).toString('hex'),
      path: signed.intent.source,
    },
    keyStatements: root.statements,
    transaction: attempt.signed,
    inclusion: {
      height: mined.blockHeight,
      blockHash: mined.blockHash,
      feeUnits: mined.feeUnits.toString(),
    },
    journal: journal.map((transfer) => ({
      id: transfer.id,
      kind: transfer.kind,
      debit: transfer.debit,
      credit: transfer.credit,
      asset: transfer.amount.asset,
      units: transfer.amount.units.toString(),
      code: transfer.code,
    })),
  };
}

/** Made once and then kept as it is. @throws WITHDRAWAL_UNKNOWN, WITHDRAWAL_NOT_FINAL */
export async function certificate(deps: OperationsDeps, id: string): Promise<Certificate> {
  const row = await readWithdrawal(deps.pool, parseId('wd', id));
  if (row.state !== 'FINAL')
    throw fail('WITHDRAWAL_NOT_FINAL', `${row.id} is ${row.state}`, { state: row.state });
  const stored = await readStored(deps, row.id);
  if (stored !== undefined) return stored;
  await deps.pool.query(
    `INSERT INTO operations.certificate (withdrawal_id, document) VALUES ($1, $2::jsonb) ON CONFLICT DO NOTHING`,
    [row.id, JSON.stringify(await build(deps, row))],
  );
  const made = await readStored(deps, row.id);
  invariant(made !== undefined, 'a certificate that was just stored is there');
  return made;
}

async function readStored(deps: OperationsDeps, id: string): Promise<Certificate | undefined> {
  const { rows } = await deps.pool.query<{ document: Certificate }>(
    'SELECT document FROM operations.certificate WHERE withdrawal_id = $1',
    [id],
  );
  return rows[0]?.document;
}
