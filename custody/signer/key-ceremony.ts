/**
 * The key ceremony of one wallet as one party lives through it. Broadcasts are echoed before they are used, the result is
 * compared by all, every quorum this party belongs to makes a test signature, and only then does it acknowledge; the
 * share becomes active when the acknowledgements of all parties are here.
 */
import { createHash } from 'node:crypto';
import { canonicalJson, hashJsonBytes } from '#core/canonical-json';
import { errorsOf } from '#core/errors';
import {
  type ActivationAck,
  type Contribution,
  custodyErrors,
  type DkgRequest,
  type Envelope,
  protocolDomains,
  quorumsOf,
  type StepAnswer,
  signedBytes,
} from '#custody/protocol';
import { verifySignature } from '#mpc';
import type { DkgResult, EngineSession } from '#mpc/contract';
import type { EnvelopeChannel, OpenedEnvelope } from './envelope.ts';
import type { ShareFacts } from './ports.ts';
import { openRound, SigningRun, sealAll, stepEngine } from './protocol-run.ts';
import { openChannel, type SessionContext } from './session-context.ts';

const fail = errorsOf(custodyErrors);
const echoBytes = 32;
/** {transcriptHash, publicKey, chainCode} as canonical JSON is 280 bytes. */
const ackBytesMax = 512;
const ackRound = 4;
const rootPath = 'm';

/** What this party expects next. `hold`: broadcasts are here, echoes are not. */
type Stage =
  | { readonly name: 'round'; readonly round: number }
  | { readonly name: 'echo'; readonly round: number; readonly inbox: readonly OpenedEnvelope[] }
  | { readonly name: 'compare'; readonly facts: ShareFacts }
  | { readonly name: 'test'; readonly facts: ShareFacts };

interface CeremonyOptions {
  readonly context: SessionContext;
  readonly session: string;
  readonly request: DkgRequest;
  readonly jointId: Uint8Array;
  readonly engine: EngineSession<DkgResult>;
}

/** What the test signatures sign: computed by each party itself, and nothing a chain would take as a transaction. */
function activationDigest(transcriptHash: string): Uint8Array {
  return hashJsonBytes({ domain: protocolDomains.activationTest, transcriptHash });
}

function echoOf(
  round: number,
  own: readonly Envelope[],
  inbox: readonly OpenedEnvelope[],
  me: number,
): Buffer {
  const payloads = new Map<number, Uint8Array>();
  for (const { to, payload } of own) if (to === 0) payloads.set(me, Buffer.from(payload, 'base64'));
  for (const { from, broadcast, payload } of inbox) if (broadcast) payloads.set(from, payload);
  const broadcasts = [...payloads]
    .sort(([a], [b]) => a - b)
    .map(([party, payload]) => ({ party, hash: createHash('sha256').update(payload).digest('hex') }));
  return Buffer.from(hashJsonBytes({ domain: protocolDomains.echo, round, broadcasts }));
}

export class KeyCeremony {
  readonly #options: CeremonyOptions;
  readonly #channel: EnvelopeChannel;
  readonly #parties: readonly number[];
  readonly #tests = new Map<string, SigningRun>();
  readonly #tested = new Set<string>();
  #stage: Stage = { name: 'round', round: 1 };
  /** What we sent in the current round, for our own echo. */
  #sent: readonly Envelope[] = [];

  constructor(options: CeremonyOptions) {
    this.#options = options;
    this.#parties = options.context.committee.members.map((member) => member.party);
    this.#channel = openChannel(options.context, { ...options, epoch: 0, participants: this.#parties });
  }

  firstMessages(): readonly Envelope[] {
    this.#sent = sealAll(this.#channel, 1, this.#options.engine.messages);
    return this.#sent;
  }

  /** @throws CUSTODY_ENVELOPE_INVALID, CUSTODY_SESSION_ABORTED, CUSTODY_SESSION_CONFLICT */
  async step(envelopes: readonly Envelope[]): Promise<StepAnswer> {
    const stage = this.#stage;
    if (stage.name === 'round') return await this.#takeRound(stage.round, envelopes);
    if (stage.name === 'echo') return await this.#takeEchoes(stage.round, stage.inbox, envelopes);
    if (stage.name === 'compare') return this.#compare(stage.facts, envelopes);
    throw fail('CUSTODY_SESSION_CONFLICT', 'the key ceremony expects test signatures now');
  }

  async #takeRound(round: number, envelopes: readonly Envelope[]): Promise<StepAnswer> {
    const inbox = openRound(this.#channel, 'dkg', round, envelopes);
    if (!inbox.some((message) => message.broadcast)) return await this.#advance(round, inbox);
    const echo = echoOf(round, this.#sent, inbox, this.#options.context.identity.party);
    this.#stage = { name: 'echo', round, inbox };
    return { state: 'more', envelopes: [this.#channel.seal('echo', round, 0, echo)] };
  }

  /** Guard rail 3: nothing that answers a broadcast leaves before all parties said they hold the same ones. */
  async #takeEchoes(
    round: number,
    inbox: readonly OpenedEnvelope[],
    envelopes: readonly Envelope[],
  ): Promise<StepAnswer> {
    const expected = { round, kind: 'echo', places: ['broadcast'], payloadBytesMax: echoBytes } as const;
    const own = echoOf(round, this.#sent, inbox, this.#options.context.identity.party);
    for (const { from, payload } of this.#channel.openAll(envelopes, expected))
      if (!own.equals(payload))
        throw fail(
          'CUSTODY_SESSION_ABORTED',
          `party ${from} holds other broadcasts of round ${round} than we do`,
          {
            party: from,
            reason: 'echo-mismatch',
            round,
          },
        );
    return await this.#advance(round, inbox);
  }

  async #advance(round: number, inbox: readonly OpenedEnvelope[]): Promise<StepAnswer> {
    const stepped = await stepEngine(this.#options.context, this.#options.engine, inbox);
    if (stepped.state === 'done') return this.#keep(stepped.result);
    this.#stage = { name: 'round', round: round + 1 };
    this.#sent = sealAll(this.#channel, round + 1, stepped.messages);
    return { state: 'more', envelopes: this.#sent };
  }

  #keep(result: DkgResult): StepAnswer {
    const { context, request } = this.#options;
    const facts: ShareFacts = {
      threshold: result.threshold,
      parties: result.parties,
      publicKey: Buffer.from(result.publicKey).toString('hex'),
      chainCode: Buffer.from(result.chainCode).toString('hex'),
      transcriptHash: `sha256:${Buffer.from(result.transcriptHash).toString('hex')}`,
      dev: context.dev,
    };
    try {
      context.shares.savePending(request.wallet, request.epoch, result.share, facts);
    } finally {
      result.share.fill(0);
    }
    this.#stage = { name: 'compare', facts };
    const ack = this.#channel.seal('ack', ackRound, 0, this.#comparable(facts));
    return { state: 'more', envelopes: [ack] };
  }

  #comparable({ transcriptHash, publicKey, chainCode }: ShareFacts): Buffer {
    return Buffer.from(canonicalJson({ transcriptHash, publicKey, chainCode }), 'utf8');
  }

  #compare(facts: ShareFacts, envelopes: readonly Envelope[]): StepAnswer {
    const own = this.#comparable(facts);
    const expected = {
      round: ackRound,
      kind: 'ack',
      places: ['broadcast'],
      payloadBytesMax: ackBytesMax,
    } as const;
    for (const { from, payload } of this.#channel.openAll(envelopes, expected))
      if (!own.equals(payload))
        throw fail('CUSTODY_SESSION_ABORTED', `party ${from} came to another key than we did`, {
          party: from,
          reason: 'transcript-mismatch',
        });
    this.#stage = { name: 'test', facts };
    return { state: 'done' };
  }

  #testFacts(): ShareFacts {
    if (this.#stage.name !== 'test')
      throw fail('CUSTODY_SESSION_CONFLICT', 'the key ceremony has not come to its test signatures');
    return this.#stage.facts;
  }

  /** The first messages of a quorum's test signature with the pending shares. Once per quorum and ceremony. */
  async startTest(participants: readonly number[]): Promise<StepAnswer> {
    const { context, request, session } = this.#options;
    const facts = this.#testFacts();
    const quorum = participants.join(',');
    const about = {
      jointId: Buffer.from(this.#options.jointId).toString('hex'),
      participants: [...participants],
    };
    const signId = hashJsonBytes({ ...about, domain: protocolDomains.activationTest });
    if (!context.guard.consume(Buffer.from(signId).toString('hex')))
      throw fail('CUSTODY_SESSION_CONFLICT', `quorum ${quorum} has had its test signature`);
    const share = context.shares.openPending(request.wallet, request.epoch);
    try {
      const engine = await context.engine.newSigning({
        share,
        path: rootPath,
        digest: activationDigest(facts.transcriptHash),
        signId,
        signers: participants,
      });
      const channel = openChannel(context, { session, jointId: signId, epoch: request.epoch, participants });
      const run = new SigningRun(context, channel, engine);
      this.#tests.set(quorum, run);
      return { state: 'more', envelopes: run.firstMessages() };
    } finally {
      share.fill(0);
    }
  }

  async stepTest(participants: readonly number[], envelopes: readonly Envelope[]): Promise<StepAnswer> {
    const facts = this.#testFacts();
    const quorum = participants.join(',');
    const run = this.#tests.get(quorum);
    if (run === undefined) throw fail('CUSTODY_SESSION_CONFLICT', `no test of quorum ${quorum} is running`);
    const stepped = await run.step(envelopes);
    if ('envelopes' in stepped) return { state: 'more', envelopes: stepped.envelopes };
    verifySignature(stepped.signature, activationDigest(facts.transcriptHash));
    if (Buffer.from(stepped.signature.publicKey).toString('hex') !== facts.publicKey)
      throw fail('CUSTODY_SESSION_ABORTED', 'the test signature belongs to another key', { quorum });
    this.#tests.delete(quorum);
    this.#tested.add(quorum);
    // The signature itself stays here: nobody needs it, and a key that is not active hands nothing out.
    return { state: 'done' };
  }

  /** @throws CUSTODY_SESSION_CONFLICT while a quorum of ours has not signed */
  acknowledge(): ActivationAck {
    const { context, request } = this.#options;
    const { publicKey, chainCode, transcriptHash } = this.#testFacts();
    // A later ceremony of the wallet puts its pending share in the place of ours: then there is nothing to acknowledge.
    if (context.shares.facts(request.wallet, request.epoch)?.transcriptHash !== transcriptHash)
      throw fail('CUSTODY_SESSION_CONFLICT', 'a later key ceremony has replaced this share');
    const { party } = context.identity;
    const missing = quorumsOf(this.#parties, context.committee.threshold)
      .filter((quorum) => quorum.includes(party))
      .map((quorum) => quorum.join(','))
      .filter((quorum) => !this.#tested.has(quorum));
    if (missing.length > 0)
      throw fail('CUSTODY_SESSION_CONFLICT', `no test signature of quorum ${missing.join(' and ')} yet`);
    const fields = {
      wallet: request.wallet,
      epoch: request.epoch,
      party,
      publicKey,
      chainCode,
      transcriptHash,
    };
    const bytes = signedBytes(protocolDomains.activationAck, fields);
    return { ...fields, signature: context.identity.sign(bytes).toString('base64') };
  }

  dispose(): void {
    this.#options.engine.dispose();
    for (const run of this.#tests.values()) run.dispose();
  }
}

export interface OpenCeremony {
  readonly request: DkgRequest;
  readonly own: Contribution;
  ceremony: KeyCeremony | undefined;
}
