/** What every session of a co-signer works with, and the joint id its parties derive. */
import { hashJsonBytes, type JsonValue } from '#core/canonical-json';
import { errorsOf } from '#core/errors';
import type { Clock, Random } from '#core/ports';
import {
  type CommitteeFile,
  type Contribution,
  custodyErrors,
  type ProtocolDomain,
  protocolDomains,
  signedBytes,
} from '#custody/protocol';
import type { Logger } from '#infra/log';
import type { ThresholdEcdsaEngine } from '#mpc/contract';
import { EnvelopeChannel } from './envelope.ts';
import { type Identity, type Member, verifyWith } from './identity.ts';
import type { Gatekeeper, SessionGuard, ShareStore } from './ports.ts';

const fail = errorsOf(custodyErrors);
const contributionBytes = 32;

export interface SessionContext {
  readonly identity: Identity;
  readonly committee: CommitteeFile;
  readonly members: ReadonlyMap<number, Member>;
  readonly engine: ThresholdEcdsaEngine;
  readonly gatekeeper: Gatekeeper;
  readonly shares: ShareStore;
  readonly guard: SessionGuard;
  /** The only wallets a key ceremony is accepted for. */
  readonly wallets: ReadonlySet<string>;
  readonly dev: boolean;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * Guard rail 5. A ban holds for what is under way too: each session with a banned party would be one more attempt.
 * @throws CUSTODY_BANNED
 */
export function assertNoneBanned({ identity, guard }: SessionContext, parties: readonly number[]): void {
  for (const party of parties)
    if (party !== identity.party && guard.isBanned(party))
      throw fail('CUSTODY_BANNED', `party ${identity.party} has banned party ${party}`, {
        party,
        by: identity.party,
      });
}

/**
 * The participants are a quorum of the committee that this party is in, and it works with all of them.
 * @throws CUSTODY_REQUEST_INVALID, CUSTODY_BANNED, CUSTODY_SESSIONS_LIMITED
 */
export function assertParticipants(context: SessionContext, participants: readonly number[]): void {
  const { committee, identity, members, guard } = context;
  const ascending = participants.every(
    (party, index) => index === 0 || party > (participants[index - 1] ?? 0),
  );
  if (participants.length !== committee.threshold || !ascending || !participants.includes(identity.party))
    throw fail(
      'CUSTODY_REQUEST_INVALID',
      `participants must be ${committee.threshold} parties in ascending order, ${identity.party} among them`,
    );
  for (const party of participants) {
    if (!members.has(party))
      throw fail('CUSTODY_REQUEST_INVALID', `party ${party} is not in the committee`, { party });
    if (guard.isPaused(party))
      throw fail('CUSTODY_SESSIONS_LIMITED', `party ${party} has aborted too often`, { party });
  }
  assertNoneBanned(context, participants);
}

/** This party's part of a session's joint id. */
export function makeContribution(context: SessionContext, session: string, subject: string): Contribution {
  const value = Buffer.from(context.random.bytes(contributionBytes)).toString('hex');
  const fields = { party: context.identity.party, value, subject };
  const bytes = signedBytes(protocolDomains.contribution, { ...fields, session });
  return { ...fields, signature: context.identity.sign(bytes).toString('base64') };
}

/**
 * All parties' contributions in ascending order, each signed by its party for this session and subject; ours unchanged.
 * @throws CUSTODY_ENVELOPE_INVALID
 */
export function verifyContributions(
  context: SessionContext,
  options: {
    readonly session: string;
    readonly own: Contribution;
    readonly participants: readonly number[];
    readonly contributions: readonly Contribution[];
  },
): readonly Contribution[] {
  const { session, own, participants, contributions } = options;
  const refuse = (reason: string, party: number): Error =>
    fail('CUSTODY_ENVELOPE_INVALID', `contribution refused: ${reason}`, { reason, party });
  if (contributions.length !== participants.length) throw refuse('one of every participant is needed', 0);
  return participants.map((party) => {
    const contribution = contributions.find((candidate) => candidate.party === party);
    if (contribution === undefined) throw refuse('it is missing', party);
    const { signature, ...fields } = contribution;
    if (fields.subject !== own.subject) throw refuse('it is for another request', party);
    if (party === own.party && fields.value !== own.value) throw refuse('ours was changed', party);
    const member = context.members.get(party);
    const bytes = signedBytes(protocolDomains.contribution, { ...fields, session });
    if (member === undefined || !verifyWith(member.signingKey, bytes, signature))
      throw refuse('the signature does not verify', party);
    return contribution;
  });
}

/** The 32 bytes all parties of a session derive alike, fresh because each put fresh randomness into it. */
export function jointId(
  domain: ProtocolDomain,
  about: Readonly<Record<string, JsonValue>>,
  contributions: readonly Contribution[],
): Uint8Array {
  const values = contributions.map(({ party, value }) => ({ party, value }));
  return hashJsonBytes({ ...about, domain, contributions: values });
}

export function openChannel(
  context: SessionContext,
  options: {
    readonly session: string;
    readonly jointId: Uint8Array;
    readonly epoch: number;
    readonly participants: readonly number[];
  },
): EnvelopeChannel {
  return new EnvelopeChannel({ ...options, members: context.members, identity: context.identity });
}
