/** Intents: made, signed and stored once; never changed. */
import { canonicalJson, hashJson } from '#core/canonical-json';
import { errorsOf, invariant } from '#core/errors';
import type { Id } from '#core/ids';
import type { Queryable, Tx } from '#infra/db';
import { intentHash, parseIntent, policyInputOf, signIntent } from '#policies';
import { type Intent, type PolicyInput, policyErrors, type SignedIntent } from '#policies/contract';
import { type IntentSigner, type OperationsDeps, walletById } from './context.ts';

const fail = errorsOf(policyErrors);

/** Signs and stores an intent. The same id again must have the same content. */
export async function storeIntent(tx: Tx, intent: Intent, signer: IntentSigner): Promise<SignedIntent> {
  const signed = signIntent(parseIntent(intent).intent, signer.keyId, signer.secretKey);
  await tx.query(
    `INSERT INTO operations.intent (id, canonical, hash, key_id, signature) VALUES ($1, $2, $3, $4, $5)`,
    [intent.id, canonicalJson(intent), intentHash(intent), signed.keyId, signed.signature],
  );
  return signed;
}

export async function readIntent(
  db: Queryable,
  id: Id<'int'>,
): Promise<{ readonly signed: SignedIntent; readonly hash: ReturnType<typeof intentHash> }> {
  const { rows } = await db.query<{ canonical: string; hash: string; key_id: string; signature: string }>(
    'SELECT canonical, hash, key_id, signature FROM operations.intent WHERE id = $1',
    [id],
  );
  const row = rows[0];
  invariant(row !== undefined, `there is no intent ${id}`);
  const { intent, intentHash: hash } = parseIntent(JSON.parse(row.canonical));
  invariant(hash === row.hash, `the stored intent ${id} does not have the hash it was stored under`);
  return { signed: { intent, keyId: row.key_id, signature: row.signature }, hash };
}

/** What the policy sees of an intent, the class of destinations from our own derivation. */
export async function policyInputFor(deps: OperationsDeps, intent: Intent): Promise<PolicyInput> {
  const wallet = walletById(deps, intent.conflictScope);
  const hot = await deps.custody.hotAddress(wallet.id);
  return policyInputOf(intent, {
    roster: deps.roster,
    tier: wallet.tier,
    isOwnHot: (address) => address === hot.address,
  });
}

/** Keeps the documents in force, so that a certificate can carry them when they no longer are. */
export async function pinDocuments(tx: Tx, deps: OperationsDeps): Promise<void> {
  await tx.query(
    `INSERT INTO operations.pinned_document (hash, kind, document)
     VALUES ($1, 'policy', $2::jsonb), ($3, 'roster', $4::jsonb) ON CONFLICT DO NOTHING`,
    [deps.policyHash, JSON.stringify(deps.policy), deps.rosterHash, JSON.stringify(deps.roster)],
  );
}

/** @throws POLICY_DOCUMENT_INVALID when the stored text no longer has the hash it is named by */
export async function pinnedDocument(db: Queryable, hash: string): Promise<unknown> {
  const { rows } = await db.query<{ document: unknown }>(
    'SELECT document FROM operations.pinned_document WHERE hash = $1',
    [hash],
  );
  const document = rows[0]?.document;
  if (document === undefined || hashJson(document) !== hash)
    throw fail('POLICY_DOCUMENT_INVALID', `the document ${hash} is missing or was changed`, { hash });
  return document;
}
