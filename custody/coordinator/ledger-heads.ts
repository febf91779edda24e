/**
 * The co-signers as the ledger's witnesses. Every answer is believed only where the co-signer itself signed it, for this very
 * question; whether the heads in it are the ledger's, the ledger judges.
 */
import { bytesToHex } from '@noble/hashes/utils.js';
import { hashJson } from '#core/canonical-json';
import { errorsOf, isStrongroomError, messageOf } from '#core/errors';
import type { Random } from '#core/ports';
import {
  type CommitteeFile,
  custodyErrors,
  protocolDomains,
  signedBytes,
  signedLedgerHeadSchema,
  type WitnessedHead,
  witnessedHeadsSchema,
} from '#custody/protocol';
import type { HeadAnswer, HeadsHeld, HeadWitnesses, SignedHead } from '#ledger/contract';
import { verifies } from '../statements.ts';
import { createHttpTransport, type SignerTransport } from './transport.ts';

const fail = errorsOf(custodyErrors);
const challengeBytes = 32;

export interface HeadWitnessesOptions {
  readonly committee: CommitteeFile;
  readonly random: Random;
  readonly transport?: SignerTransport;
}

const isSame = (a: SignedHead['statement'], b: WitnessedHead['head']['statement']): boolean =>
  a.ledger === b.ledger && a.batch === b.batch && a.hash === b.hash && a.lastSeq === b.lastSeq;

/** What the error of a co-signer shows as its recorded head; unverified. */
function recordedOf(text: unknown): unknown {
  if (typeof text !== 'string') return undefined;
  try {
    return signedLedgerHeadSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function failed(party: number, error: unknown): Extract<HeadAnswer, { state: 'failed' }> {
  const code = isStrongroomError(error) ? error.code : 'CUSTODY_SIGNER_FAILED';
  return { party, state: 'failed', code, reason: messageOf(error) };
}

/** @returns witnesses for worker and api: the committee file and a way to the co-signers is all they need */
export function createHeadWitnesses(options: HeadWitnessesOptions): HeadWitnesses & { close(): void } {
  const { committee, random } = options;
  const transport = options.transport ?? createHttpTransport(committee);

  /** @throws CUSTODY_STATEMENT_INVALID for an answer that is not this co-signer's to this question */
  async function ask(
    { party, signingKey }: CommitteeFile['members'][number],
    path: string,
    question: object,
  ): Promise<readonly WitnessedHead[]> {
    const asked = { challenge: bytesToHex(random.bytes(challengeBytes)), ...question };
    const parsed = witnessedHeadsSchema.safeParse(
      await transport(party, 'POST', `/v1/ledger-heads/${path}`, asked),
    );
    const refuse = (reason: string): Error =>
      fail('CUSTODY_STATEMENT_INVALID', `party ${party} answers about ledger heads: ${reason}`, {
        party,
        reason,
      });
    if (!parsed.success) throw refuse('of another form');
    const { signature, ...fields } = parsed.data;
    if (fields.party !== party || fields.question !== hashJson(asked)) throw refuse('to another question');
    if (!verifies(signature, signedBytes(protocolDomains.witnessedHeads, fields), signingKey))
      throw refuse('the signature does not verify');
    return fields.heads;
  }

  async function publishTo(member: CommitteeFile['members'][number], head: SignedHead): Promise<HeadAnswer> {
    const { party } = member;
    try {
      const [first, previous] = await ask(member, 'record', { head });
      if (first === undefined || !isSame(head.statement, first.head.statement))
        throw fail('CUSTODY_STATEMENT_INVALID', `party ${party} says it recorded another ledger head`, {
          party,
        });
      return {
        party,
        state: 'recorded',
        atMs: first.at,
        ...(previous === undefined ? {} : { previous: previous.head }),
      };
    } catch (error) {
      if (!isStrongroomError(error) || !refusalCodes.has(error.code)) return failed(party, error);
      const recorded = recordedOf(error.details['recorded']);
      return {
        party,
        state: 'refused',
        code: error.code,
        reason: error.message,
        ...(recorded === undefined ? {} : { recorded }),
      };
    }
  }

  async function readFrom(
    member: CommitteeFile['members'][number],
    question: { readonly count: number; readonly upTo?: string },
  ): Promise<HeadsHeld> {
    const { party } = member;
    try {
      const heads = await ask(member, 'read', question);
      return { party, state: 'read', heads: heads.map(({ head, at }) => ({ head, atMs: at })) };
    } catch (error) {
      return failed(party, error);
    }
  }

  return {
    publish: async (head) =>
      await Promise.all(committee.members.map(async (member) => await publishTo(member, head))),
    read: async (count, upTo) => {
      const question = { count, ...(upTo === undefined ? {} : { upTo }) };
      return await Promise.all(committee.members.map(async (member) => await readFrom(member, question)));
    },
    close: () => {
      transport.close?.();
    },
  };
}

/** Codes by which a co-signer says no; everything else is a co-signer that could not be asked. */
const refusalCodes: ReadonlySet<string> = new Set([
  'CUSTODY_LEDGER_HEAD_REFUSED',
  'CUSTODY_LEDGER_HEAD_CONFLICT',
  'CUSTODY_LEDGER_HEADS_LIMITED',
  'CUSTODY_REQUEST_INVALID',
]);
