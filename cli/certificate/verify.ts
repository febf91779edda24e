/**
 * Checks a payout certificate without trusting whoever made it: hashes, signatures, approvals, the policy's decision, the
 * decoded bytes, the recovered sender and the journal must all say the same payment. What cannot be proven offline (the
 * block, and whose keys the co-signers' are) is reported as a claim, never as proven.
 */
import { readSignedTransaction, type SignedContent } from '#chains';
import { hashJson, type JsonValue } from '#core/canonical-json';
import { messageOf } from '#core/errors';
import { derivedId } from '#core/ids';
import { childPublicKey, verifyStatements } from '#custody';
import { type CommitteeFile, hotPath } from '#custody/protocol';
import { evaluate, intentDefect, intentUnits, judgeApprovals, policyInputOf } from '#policies';
import { demand } from './demand.ts';
import type { CertificateDocument } from './document.ts';
import { checkJournal } from './journal.ts';

export type Verdict = 'proven' | 'false' | 'claim';
export interface CertificateCheck {
  readonly name: string;
  readonly verdict: Verdict;
  readonly detail: string;
}
export interface VerificationContext {
  /** Whose co-signers; without it the key statements stay a claim. */
  readonly committee?: CommitteeFile;
  readonly addressOfPublicKey: (publicKey: Uint8Array) => string;
}

function check(name: string, prove: () => string): CertificateCheck {
  try {
    return { name, verdict: 'proven', detail: prove() };
  } catch (error) {
    return { name, verdict: 'false', detail: messageOf(error) };
  }
}
const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex, 'hex'));

function checkDecision(certificate: CertificateDocument, ownHot: string): string {
  const { intent } = certificate.intent;
  const policy = certificate.policy.document;
  const roster = certificate.roster.document;
  const input = policyInputOf(intent, { roster, tier: 'hot', isOwnHot: (address) => address === ownHot });
  const decision = evaluate(policy, input);
  demand(decision.outcome === 'allow', `the policy denies this intent by ${decision.rules.join(', ')}`);
  demand(
    hashJson(certificate.decision as JsonValue) === hashJson(decision),
    'the policy decides otherwise than the certificate says',
  );
  const judgement = judgeApprovals({
    approvals: certificate.approvals,
    intent,
    pins: { policyHash: hashJson(policy), rosterHash: hashJson(roster) },
    roster,
    obligations: decision.obligations,
    // When each was given cannot be proven offline, so expiry is judged at the earliest moment it could have been.
    nowMs: intent.createdAt,
  });
  const missing = Object.entries(judgement.missing).map(([group, count]) => `${count} of ${group}`);
  demand(missing.length === 0, `approvals missing: ${missing.join(', ')}`);
  const [defect] = judgement.defects;
  demand(
    defect === undefined,
    `the approval of ${defect?.approver ?? ''} does not count: ${defect?.defect ?? ''}`,
  );
  demand(judgement.rejectedBy.length === 0, `rejected by ${judgement.rejectedBy.join(', ')}`);
  const people = Object.values(judgement.counted).flat();
  return `allowed by ${decision.rules.join(', ')}; ${people.length === 0 ? 'no approval needed' : `approved by ${people.join(', ')}`}`;
}

function checkWithdrawal(certificate: CertificateDocument): string {
  const { intent } = certificate.intent;
  const { withdrawalId, wallet } = certificate;
  demand(intent.purpose === withdrawalId, `the intent is for ${intent.purpose}`);
  demand(intent.id === derivedId('int', withdrawalId), 'the intent has the id of another withdrawal');
  demand(intent.conflictScope === wallet.id, `the intent pays from ${intent.conflictScope}`);
  return `${withdrawalId} from ${wallet.id}`;
}

function checkTransaction(certificate: CertificateDocument, content: SignedContent): string {
  const { intent } = certificate.intent;
  const output = intent.outputs[0];
  demand(intent.outputs.length === 1 && output !== undefined, 'an Ethereum intent has one output');
  demand(content.txId === certificate.transaction.txId, `the bytes have the id ${content.txId}`);
  demand(intent.asset.startsWith(`${content.chain}/`), `the bytes are for ${content.chain}`);
  demand(content.plain, 'the bytes do more than move ether');
  demand(content.to === output.address, `the bytes pay ${content.to}, the intent ${output.address}`);
  demand(content.units === intentUnits(intent), `the bytes pay ${content.units.toString()} units`);
  demand(content.maxCostUnits <= BigInt(intent.feeCap.units), 'the fee can exceed the cap');
  return `${content.units.toString()} units to ${content.to}, nonce ${content.nonce}`;
}

function checkKeys(certificate: CertificateDocument, context: VerificationContext): CertificateCheck {
  const name = 'key-statements';
  const { wallet, keyStatements } = certificate;
  const { committee } = context;
  if (committee === undefined)
    return { name, verdict: 'claim', detail: 'give --committee to check whose key the wallet root is' };
  return check(name, () => {
    const dev = keyStatements.some((statement) => statement.dev);
    const root = verifyStatements(wallet.id, keyStatements, { committee, dev });
    demand(Buffer.from(root.publicKey).toString('hex') === wallet.publicKey, 'they state another public key');
    demand(Buffer.from(root.chainCode).toString('hex') === wallet.chainCode, 'they state another chain code');
    return `${keyStatements.length} co-signers state this root${dev ? ' (development shares)' : ''}`;
  });
}

export function verifyCertificate(
  certificate: CertificateDocument,
  context: VerificationContext,
): readonly CertificateCheck[] {
  const { wallet, transaction, intent } = certificate;
  const root = { publicKey: bytes(wallet.publicKey), chainCode: bytes(wallet.chainCode) };
  const addressAt = (path: string) => context.addressOfPublicKey(childPublicKey(root, path));
  return [
    check('intent-hash', () => {
      demand(
        hashJson(intent.intent) === certificate.intentHash,
        `the intent has the hash ${hashJson(intent.intent)}`,
      );
      return certificate.intentHash;
    }),
    check('withdrawal', () => checkWithdrawal(certificate)),
    check('policy-hash', () => {
      demand(
        hashJson(certificate.policy.document) === certificate.policy.hash,
        'the policy is another document',
      );
      return certificate.policy.hash;
    }),
    check('roster-hash', () => {
      demand(
        hashJson(certificate.roster.document) === certificate.roster.hash,
        'the roster is another document',
      );
      return certificate.roster.hash;
    }),
    check('initiator', () => {
      const defect = intentDefect(intent, certificate.roster.document);
      demand(defect === undefined, defect ?? '');
      return `signed by ${intent.intent.initiator}`;
    }),
    check('decision', () => checkDecision(certificate, addressAt(hotPath))),
    checkKeys(certificate, context),
    check('sender', () => {
      const content = readSignedTransaction(transaction.raw);
      const derived = addressAt(wallet.path);
      demand(wallet.path === intent.intent.source, 'the path is not the source of the intent');
      demand(content.sender === derived, `signed by ${content.sender}, but ${wallet.path} is ${derived}`);
      demand(transaction.sender === derived, 'the certificate names another sender');
      return `${derived} = ${wallet.path}`;
    }),
    check('transaction', () => checkTransaction(certificate, readSignedTransaction(transaction.raw))),
    check('journal', () => checkJournal(certificate)),
  ];
}

interface NodeReceipt {
  readonly status: string;
  readonly blockHash: string;
  readonly blockNumber: string;
  readonly gasUsed: string;
  readonly effectiveGasPrice: string;
}

interface NodeAnswer {
  readonly result?: NodeReceipt | null;
  readonly error?: { readonly message: string };
}
/** A node far away answers within a second or two; a person waits here. */
const nodeTimeoutMs = 15_000;

/** Asks a node whether it has the transaction in the claimed block, with the claimed fee. Plain JSON-RPC. */
export async function verifyInclusion(
  certificate: CertificateDocument,
  nodeUrl: string | undefined,
): Promise<CertificateCheck> {
  const { inclusion, transaction } = certificate;
  const name = 'inclusion';
  const claim = `block ${inclusion.height} ${inclusion.blockHash}`;
  if (nodeUrl === undefined) return { name, verdict: 'claim', detail: `${claim}; give --node to check it` };
  try {
    const answer = await fetch(nodeUrl, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'eth_getTransactionReceipt',
        params: [transaction.txId],
      }),
      signal: AbortSignal.timeout(nodeTimeoutMs),
    });
    const { result, error } = (await answer.json()) as NodeAnswer;
    demand(error === undefined, `the node answers: ${error?.message ?? ''}`);
    demand(result !== null && result !== undefined, 'the node does not know the transaction');
    demand(result.status === '0x1', 'the transaction was reverted');
    demand(result.blockHash === inclusion.blockHash, `the node has it in block ${result.blockHash}`);
    demand(Number.parseInt(result.blockNumber, 16) === inclusion.height, 'the node has it at another height');
    const fee = BigInt(result.gasUsed) * BigInt(result.effectiveGasPrice);
    demand(fee.toString() === inclusion.feeUnits, `it paid a fee of ${fee.toString()}`);
    return { name, verdict: 'proven', detail: claim };
  } catch (error) {
    return { name, verdict: 'false', detail: messageOf(error) };
  }
}
