/** The coordinator's side of a key ceremony: opens, relays, has every quorum make its test signature, and activates. */
import {
  type ActivationAck,
  activationAckSchema,
  type CommitteeFile,
  type Contribution,
  contributionSchema,
  type DkgRequest,
  type Envelope,
  type KeyStatement,
  keyStatementSchema,
  quorumsOf,
  type StepAnswer,
} from '#custody/protocol';
import { readOpenAnswer, readStepAnswer } from './answers.ts';
import { allSettledOrThrow, relayRounds } from './relay.ts';
import type { SignerTransport } from './transport.ts';

interface CeremonyOptions {
  readonly committee: CommitteeFile;
  readonly transport: SignerTransport;
  readonly session: string;
  readonly wallet: string;
}

async function askAll<T>(parties: readonly number[], ask: (party: number) => Promise<T>): Promise<T[]> {
  return await allSettledOrThrow(parties.map(async (party) => await ask(party)));
}

async function makeKey(options: CeremonyOptions, parties: readonly number[]): Promise<void> {
  const { committee, transport, session, wallet } = options;
  const request: DkgRequest = { wallet, threshold: committee.threshold, parties: parties.length, epoch: 0 };
  const contributions: Contribution[] = await askAll(parties, async (party) =>
    contributionSchema.parse(
      readOpenAnswer(await transport(party, 'POST', '/v1/dkg/open', { session, request })).contribution,
    ),
  );
  const first = await askAll(parties, async (party) =>
    readStepAnswer(await transport(party, 'POST', '/v1/dkg/start', { session, contributions })),
  );
  await relayRounds(parties, first, async (party, envelopes: readonly Envelope[]) =>
    readStepAnswer(await transport(party, 'POST', '/v1/dkg/step', { session, envelopes })),
  );
}

async function testQuorum(options: CeremonyOptions, participants: readonly number[]): Promise<void> {
  const { transport, session } = options;
  const first: StepAnswer[] = await askAll(participants, async (party) =>
    readStepAnswer(await transport(party, 'POST', '/v1/dkg/test/start', { session, participants })),
  );
  await relayRounds(participants, first, async (party, envelopes) =>
    readStepAnswer(await transport(party, 'POST', '/v1/dkg/test/step', { session, participants, envelopes })),
  );
}

/** Up to the acknowledgements of all; nothing is active yet. */
export async function runCeremony(options: CeremonyOptions): Promise<readonly ActivationAck[]> {
  const { committee, transport, session } = options;
  const parties = committee.members.map((member) => member.party);
  await makeKey(options, parties);
  for (const quorum of quorumsOf(parties, committee.threshold)) await testQuorum(options, quorum);
  return await askAll(parties, async (party) =>
    activationAckSchema.parse(await transport(party, 'POST', '/v1/dkg/acknowledge', { session })),
  );
}

/** Brings every co-signer to the acknowledged key; safe to repeat. */
export async function activateKey(
  committee: CommitteeFile,
  transport: SignerTransport,
  acks: readonly ActivationAck[],
): Promise<readonly KeyStatement[]> {
  const parties = committee.members.map((member) => member.party);
  return await askAll(parties, async (party) =>
    keyStatementSchema.parse(await transport(party, 'POST', '/v1/dkg/activate', { acks })),
  );
}
