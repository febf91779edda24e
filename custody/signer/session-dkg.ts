/** Key ceremonies a co-signer takes part in, the activation of their result, and the statements about it. */
import { hashJson } from '#core/canonical-json';
import { errorsOf } from '#core/errors';
import {
  type ActivationAck,
  ackRequestSchema,
  activateSchema,
  custodyErrors,
  type DkgRequest,
  type KeyStatement,
  type OpenAnswer,
  openDkgSchema,
  protocolDomains,
  type StepAnswer,
  signedBytes,
  startSchema,
  stepSchema,
  testStartSchema,
  testStepSchema,
} from '#custody/protocol';
import { verifyWith } from './identity.ts';
import { KeyCeremony, type OpenCeremony } from './key-ceremony.ts';
import {
  assertParticipants,
  jointId,
  makeContribution,
  type SessionContext,
  verifyContributions,
} from './session-context.ts';
import { type Session, SessionRegistry } from './session-registry.ts';

const fail = errorsOf(custodyErrors);
/** A round of a key ceremony takes up to half a minute of CPU on a loaded machine. */
const idleMsMax = 180_000;
/** One ceremony keeps a core busy for seconds; they are rare and run one after another. */
const ceremoniesMax = 2;

type CeremonySession = Session & OpenCeremony;

export class KeyCeremonies {
  readonly #context: SessionContext;
  readonly #registry: SessionRegistry<CeremonySession>;

  constructor(context: SessionContext) {
    this.#context = context;
    this.#registry = new SessionRegistry(context.clock);
  }

  get size(): number {
    return this.#registry.size;
  }

  /** @throws CUSTODY_WALLET_UNKNOWN, CUSTODY_WALLET_ACTIVE, CUSTODY_REQUEST_INVALID, CUSTODY_BANNED */
  open(body: unknown): OpenAnswer {
    const { session: id, request } = openDkgSchema.parse(body);
    this.#registry.assertMayOpen(id);
    if (this.#registry.size >= ceremoniesMax)
      throw fail('CUSTODY_SESSIONS_LIMITED', `${ceremoniesMax} key ceremonies are running`);
    this.#assertWanted(request);
    const own = makeContribution(this.#context, id, hashJson({ ...request }));
    const session: CeremonySession = {
      id,
      idleMsMax,
      request,
      own,
      ceremony: undefined,
      isStarted: () => session.ceremony !== undefined,
      dispose: (reason) => {
        session.ceremony?.dispose();
        this.#context.log.info({ session: id, wallet: request.wallet, reason }, 'key ceremony ended');
      },
    };
    this.#registry.add(session);
    return { contribution: own };
  }

  #assertWanted({ wallet, threshold, parties, epoch }: DkgRequest): void {
    const { committee, guard, identity, shares, wallets } = this.#context;
    if (!wallets.has(wallet))
      throw fail(
        'CUSTODY_WALLET_UNKNOWN',
        `${wallet} is not in the configuration of party ${identity.party}`,
        {
          wallet,
        },
      );
    if (shares.activeEpoch(wallet) !== undefined)
      throw fail('CUSTODY_WALLET_ACTIVE', `${wallet} has an active share of epoch ${epoch}`, { wallet });
    if (threshold !== committee.threshold || parties !== committee.members.length)
      throw fail(
        'CUSTODY_REQUEST_INVALID',
        `the committee is ${committee.threshold}-of-${committee.members.length}`,
      );
    for (const { party } of committee.members)
      if (guard.isBanned(party)) throw fail('CUSTODY_BANNED', `party ${party} is banned`, { party });
  }

  /** @throws CUSTODY_ENVELOPE_INVALID, CUSTODY_SESSION_CONFLICT, CUSTODY_SESSION_UNKNOWN */
  async start(body: unknown): Promise<StepAnswer> {
    const { session: id, contributions } = startSchema.parse(body);
    const context = this.#context;
    return await this.#registry.use(id, async (session) => {
      if (session.ceremony !== undefined)
        throw fail('CUSTODY_SESSION_CONFLICT', `session ${id} was started before`, { session: id });
      const { request, own } = session;
      const participants = context.committee.members.map((member) => member.party);
      const verified = verifyContributions(context, { session: id, own, participants, contributions });
      const ceremonyId = jointId(protocolDomains.sessionId, { request: { ...request } }, verified);
      if (!context.guard.consume(Buffer.from(ceremonyId).toString('hex')))
        throw fail('CUSTODY_SESSION_CONFLICT', `the id of session ${id} was used before`, { session: id });
      const engine = await context.engine.newDkg({
        committee: { threshold: request.threshold, parties: request.parties },
        party: context.identity.party,
        sessionId: ceremonyId,
      });
      session.ceremony = new KeyCeremony({ context, session: id, request, jointId: ceremonyId, engine });
      return { state: 'more', envelopes: session.ceremony.firstMessages() };
    });
  }

  async #inCeremony<T>(id: string, work: (ceremony: KeyCeremony) => Promise<T> | T): Promise<T> {
    return await this.#registry.use(id, async ({ ceremony }) => {
      if (ceremony === undefined)
        throw fail('CUSTODY_SESSION_CONFLICT', `session ${id} was not started`, { session: id });
      return await work(ceremony);
    });
  }

  async step(body: unknown): Promise<StepAnswer> {
    const { session, envelopes } = stepSchema.parse(body);
    return await this.#inCeremony(session, async (ceremony) => await ceremony.step(envelopes));
  }

  async startTest(body: unknown): Promise<StepAnswer> {
    const { session, participants } = testStartSchema.parse(body);
    assertParticipants(this.#context, participants);
    return await this.#inCeremony(session, async (ceremony) => await ceremony.startTest(participants));
  }

  async stepTest(body: unknown): Promise<StepAnswer> {
    const { session, participants, envelopes } = testStepSchema.parse(body);
    return await this.#inCeremony(
      session,
      async (ceremony) => await ceremony.stepTest(participants, envelopes),
    );
  }

  async acknowledge(body: unknown): Promise<ActivationAck> {
    const { session } = ackRequestSchema.parse(body);
    return await this.#inCeremony(session, (ceremony) => ceremony.acknowledge());
  }

  /**
   * Makes the pending share usable: every party has acknowledged this very key. Needs no session, so that a co-signer
   * that missed the end of a ceremony can be brought to it; the same call again changes nothing.
   * @throws CUSTODY_STATEMENT_INVALID, CUSTODY_WALLET_UNKNOWN
   */
  activate(body: unknown): KeyStatement {
    const { acks } = activateSchema.parse(body);
    const { wallet, epoch } = this.#assertAllAcknowledged(acks);
    const { shares, log } = this.#context;
    const active = shares.activeEpoch(wallet);
    if (active === undefined || active < epoch) {
      shares.activate(wallet, epoch);
      log.info({ wallet, epoch }, 'share activated');
    }
    return this.statement(wallet);
  }

  #assertAllAcknowledged(acks: readonly ActivationAck[]): { wallet: string; epoch: number } {
    const { members, shares } = this.#context;
    const refuse = (reason: string): Error =>
      fail('CUSTODY_STATEMENT_INVALID', `activation refused: ${reason}`);
    const [first] = acks;
    if (first === undefined) throw refuse('no acknowledgement');
    const { wallet, epoch } = first;
    const facts = shares.facts(wallet, epoch);
    if (facts === undefined)
      throw fail('CUSTODY_WALLET_UNKNOWN', `no share of ${wallet} in epoch ${epoch}`, { wallet, epoch });
    if (acks.length !== members.size) throw refuse('one acknowledgement of every party is needed');
    for (const [party, member] of members) {
      const ack = acks.find((candidate) => candidate.party === party);
      if (ack === undefined) throw refuse(`party ${party} has not acknowledged`);
      const { signature, ...fields } = ack;
      const sameKey =
        ack.wallet === wallet &&
        ack.epoch === epoch &&
        ack.publicKey === facts.publicKey &&
        ack.chainCode === facts.chainCode &&
        ack.transcriptHash === facts.transcriptHash;
      if (!sameKey) throw refuse(`party ${party} acknowledged another key`);
      if (!verifyWith(member.signingKey, signedBytes(protocolDomains.activationAck, fields), signature))
        throw refuse(`the acknowledgement of party ${party} does not verify`);
    }
    return { wallet, epoch };
  }

  /** What anybody may verify the wallet's addresses against. @throws CUSTODY_WALLET_UNKNOWN */
  statement(wallet: string): KeyStatement {
    const { identity, shares } = this.#context;
    const epoch = shares.activeEpoch(wallet);
    const facts = epoch === undefined ? undefined : shares.facts(wallet, epoch);
    if (epoch === undefined || facts === undefined)
      throw fail('CUSTODY_WALLET_UNKNOWN', `party ${identity.party} has no active share of ${wallet}`, {
        wallet,
      });
    const { threshold, parties, publicKey, chainCode, transcriptHash, dev } = facts;
    const fields = {
      wallet,
      epoch,
      party: identity.party,
      threshold,
      parties,
      publicKey,
      chainCode,
      transcriptHash,
      dev,
    };
    const bytes = signedBytes(protocolDomains.keyStatement, fields);
    return { ...fields, signature: identity.sign(bytes).toString('base64') };
  }

  endIdle(): void {
    this.#registry.endIdle();
  }

  close(): void {
    this.#registry.endAll('the co-signer was stopped');
  }
}
