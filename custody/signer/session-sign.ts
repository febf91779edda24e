/**
 * A signing session: open (the ten checks), start (the joint sign id is consumed and the decision is durable before the
 * first message leaves), three steps, and the verified signature. Five requests, as few as the protocol allows.
 */
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { hashJson } from '#core/canonical-json';
import { errorsOf, messageOf } from '#core/errors';
import {
  type Contribution,
  custodyErrors,
  type FinishedSignature,
  type OpenAnswer,
  openSigningSchema,
  protocolDomains,
  type Refusal,
  type StepAnswer,
  startSchema,
  stepSchema,
} from '#custody/protocol';
import { failpoint } from '#infra/failpoint';
import type { EcdsaSignature } from '#mpc/contract';
import { addressOfPublicKey } from './decode/address.ts';
import type { Authorisation, CheckOutcome } from './ports.ts';
import { SigningRun } from './protocol-run.ts';
import {
  assertParticipants,
  jointId,
  makeContribution,
  openChannel,
  type SessionContext,
  verifyContributions,
} from './session-context.ts';
import { type Session, SessionRegistry } from './session-registry.ts';

const fail = errorsOf(custodyErrors);
const hasHighS = ({ compact }: EcdsaSignature): boolean => secp256k1.Signature.fromBytes(compact).hasHighS();
/** A signature takes under a second; a coordinator that is silent this long is gone. */
const idleMsMax = 30_000;

interface SigningSession extends Session {
  readonly authorisation: Authorisation;
  readonly own: Contribution;
  run: SigningRun | undefined;
  /** Set once the session's end is in the log. */
  concluded: boolean;
}

function refused(refusal: Refusal): Error {
  const { check, reason, party, message } = refusal;
  return fail('CUSTODY_REFUSED', message, { check, reason, party });
}

function authorised(outcome: CheckOutcome): Authorisation {
  if (outcome.ok) return outcome.authorisation;
  throw refused(outcome.refusal);
}

export class SigningSessions {
  readonly #context: SessionContext;
  readonly #registry: SessionRegistry<SigningSession>;

  constructor(context: SessionContext) {
    this.#context = context;
    this.#registry = new SessionRegistry(context.clock);
  }

  get size(): number {
    return this.#registry.size;
  }

  /** @throws CUSTODY_REFUSED, CUSTODY_BANNED, CUSTODY_REQUEST_INVALID, CUSTODY_SESSION_CONFLICT */
  async open(body: unknown): Promise<OpenAnswer> {
    const context = this.#context;
    const { session: id, request } = openSigningSchema.parse(body);
    this.#registry.assertMayOpen(id);
    const authorisation = authorised(await context.gatekeeper.check(request));
    assertParticipants(context, authorisation.request.participants);
    const own = makeContribution(context, id, authorisation.requestHash);
    const session: SigningSession = {
      id,
      idleMsMax,
      authorisation,
      own,
      run: undefined,
      concluded: false,
      isStarted: () => session.run !== undefined,
      dispose: (reason) => {
        session.run?.dispose();
        if (session.run !== undefined) this.#conclude(session, false, reason);
      },
    };
    this.#registry.add(session);
    return { contribution: own };
  }

  /** @throws CUSTODY_ENVELOPE_INVALID, CUSTODY_REFUSED, CUSTODY_SESSION_CONFLICT, CUSTODY_SESSION_UNKNOWN */
  async start(body: unknown): Promise<StepAnswer> {
    const { session: id, contributions } = startSchema.parse(body);
    return await this.#registry.use(id, async (session) => {
      if (session.run !== undefined)
        throw fail('CUSTODY_SESSION_CONFLICT', `session ${id} was started before`, { session: id });
      const context = this.#context;
      const { wallet, epoch, digest, path, request } = session.authorisation;
      const { participants } = request;
      assertParticipants(context, participants);
      const verified = verifyContributions(context, {
        session: id,
        own: session.own,
        participants,
        contributions,
      });
      const digestHex = Buffer.from(digest).toString('hex');
      const about = { wallet, epoch, path, digest: digestHex, participants };
      const signId = jointId(protocolDomains.signId, about, verified);
      const share = context.shares.open(wallet, epoch);
      // The module computes its first messages while the decision is synced to disk; none leaves before it is.
      const opening = context.engine.newSigning({ share, path, digest, signId, signers: participants });
      const ended = opening.then(
        (engine) => engine,
        () => undefined,
      );
      try {
        authorised(await context.gatekeeper.commit(session.authorisation, signId, id));
      } catch (error) {
        (await ended)?.dispose();
        share.fill(0);
        throw error;
      }
      try {
        const engine = await opening;
        const channel = openChannel(context, { session: id, jointId: signId, epoch, participants });
        session.run = new SigningRun(context, channel, engine);
      } catch (error) {
        this.#conclude(session, false, messageOf(error));
        throw error;
      } finally {
        share.fill(0);
      }
      return { state: 'more', envelopes: session.run.firstMessages() };
    });
  }

  /** @throws CUSTODY_ENVELOPE_INVALID, CUSTODY_SESSION_ABORTED, CUSTODY_SESSION_CONFLICT, CUSTODY_SESSION_UNKNOWN */
  async step(body: unknown): Promise<StepAnswer> {
    const { session: id, envelopes } = stepSchema.parse(body);
    return await this.#registry.use(id, async (session) => {
      if (session.run === undefined)
        throw fail('CUSTODY_SESSION_CONFLICT', `session ${id} was not started`, { session: id });
      const stepped = await session.run.step(envelopes);
      failpoint('mid-signature');
      if ('envelopes' in stepped) return { state: 'more', envelopes: stepped.envelopes };
      const signature = this.#release(session, stepped.signature);
      // What binds is in the log since the start; how it ended may follow the answer, and costs a disk write.
      setImmediate(() => {
        try {
          this.#conclude(session, true, hashJson({ ...signature }));
        } catch (error) {
          this.#context.log.error({ err: error, session: id }, 'the end of a session was not logged');
        }
        this.#registry.end(id, 'signed');
      });
      return { state: 'done', signature };
    });
  }

  /**
   * The engine has verified it with noble over the digest of our own decoder; here the key it verified under must be that
   * of the sender we computed, whatever the engine says about itself.
   */
  #release(session: SigningSession, signature: EcdsaSignature): FinishedSignature {
    const { sender } = session.authorisation;
    if (hasHighS(signature) || addressOfPublicKey(signature.publicKey) !== sender)
      throw fail('CUSTODY_SESSION_ABORTED', 'the finished signature is not one of the sender', { sender });
    const finished: FinishedSignature = {
      compact: Buffer.from(signature.compact).toString('hex'),
      recoveryId: signature.recoveryId,
      publicKey: Buffer.from(signature.publicKey).toString('hex'),
    };
    return finished;
  }

  #conclude(session: SigningSession, signed: boolean, detail: string): void {
    if (session.concluded) return;
    session.concluded = true;
    this.#context.gatekeeper.conclude(session.authorisation, session.id, { signed, detail });
  }

  endIdle(): void {
    this.#registry.endIdle();
  }

  close(): void {
    this.#registry.endAll('the co-signer was stopped');
  }
}
