/**
 * One run of the engine behind one channel: what comes in is authenticated, what goes out is sealed, and a failure is
 * judged: a proven cheat bans its party durably before anybody gets an answer, any other abort is counted.
 */
import { errorsOf, isStrongroomError } from '#core/errors';
import { custodyErrors, type Envelope } from '#custody/protocol';
import {
  type EcdsaSignature,
  type EngineSession,
  type OutgoingMessage,
  payloadBytesMax,
  type StepResult,
} from '#mpc/contract';
import type { EnvelopeChannel, OpenedEnvelope, Place } from './envelope.ts';
import { assertNoneBanned, type SessionContext } from './session-context.ts';

const fail = errorsOf(custodyErrors);

/** Where the messages of each round travel, per protocol. */
const placesOfRound = {
  sign: [['direct'], ['direct'], ['broadcast']],
  dkg: [['direct'], ['broadcast', 'direct'], ['broadcast', 'direct']],
} as const satisfies Record<string, readonly (readonly Place[])[]>;
export type ProtocolName = keyof typeof placesOfRound;

/** The plain messages are zeroed: those of a key ceremony's first round are pieces of a secret. */
export function sealAll(
  channel: EnvelopeChannel,
  round: number,
  messages: readonly OutgoingMessage[],
): readonly Envelope[] {
  return messages.map(({ to, payload }) => {
    const envelope = channel.seal('mpc', round, to, payload);
    payload.fill(0);
    return envelope;
  });
}

/** @throws CUSTODY_ENVELOPE_INVALID */
export function openRound(
  channel: EnvelopeChannel,
  protocol: ProtocolName,
  round: number,
  envelopes: readonly Envelope[],
): OpenedEnvelope[] {
  const places = placesOfRound[protocol][round - 1];
  const bytesMax = payloadBytesMax[protocol][round - 1];
  if (places === undefined || bytesMax === undefined)
    throw fail('CUSTODY_SESSION_CONFLICT', `the protocol has no round ${round}`, { round });
  return channel.openAll(envelopes, { round, kind: 'mpc', places, payloadBytesMax: bytesMax });
}

/**
 * Turns the engine's failure into ours after recording who is to blame. Messages were authenticated before, so a relay
 * cannot put the blame on anybody.
 */
function judge(context: SessionContext, error: unknown, counterparties: readonly number[]): unknown {
  if (!isStrongroomError(error) || error.code !== 'MPC_ABORTED') return error;
  const blamed = error.details['party'];
  // Some aborts name nobody; with a single counterparty it can only be that one (or us).
  const [only] = counterparties;
  const named = typeof blamed === 'number' && counterparties.includes(blamed) ? blamed : 0;
  const party = named === 0 && counterparties.length === 1 && only !== undefined ? only : named;
  const banned = error.details['ban'] === true && named !== 0;
  if (banned) context.guard.ban(party, error.message);
  else if (party !== 0) context.guard.recordAbort(party);
  context.log.warn({ party, banned, err: error }, 'protocol aborted');
  return fail('CUSTODY_SESSION_ABORTED', error.message, { party, banned }, error);
}

/** One step of the engine. @throws CUSTODY_SESSION_ABORTED, CUSTODY_BANNED, or what the engine throws besides an abort */
export async function stepEngine<R>(
  context: SessionContext,
  engine: EngineSession<R>,
  inbox: readonly OpenedEnvelope[],
): Promise<StepResult<R>> {
  const counterparties = [...new Set(inbox.map((message) => message.from))];
  try {
    assertNoneBanned(context, counterparties);
    const stepped = await engine.step(inbox);
    // Another session may have proven a cheat while this one computed: then nothing of it leaves.
    assertNoneBanned(context, counterparties);
    return stepped;
  } catch (error) {
    throw judge(context, error, counterparties);
  } finally {
    for (const message of inbox) message.payload.fill(0);
  }
}

/** A run of the signing protocol: the three rounds of one quorum, for a request or for an activation test. */
export class SigningRun {
  readonly #context: SessionContext;
  readonly #channel: EnvelopeChannel;
  readonly #engine: EngineSession<EcdsaSignature>;
  #round = 1;

  constructor(context: SessionContext, channel: EnvelopeChannel, engine: EngineSession<EcdsaSignature>) {
    this.#context = context;
    this.#channel = channel;
    this.#engine = engine;
  }

  firstMessages(): readonly Envelope[] {
    return sealAll(this.#channel, 1, this.#engine.messages);
  }

  /** The next messages, or the signature. */
  async step(
    envelopes: readonly Envelope[],
  ): Promise<{ readonly envelopes: readonly Envelope[] } | { readonly signature: EcdsaSignature }> {
    const inbox = openRound(this.#channel, 'sign', this.#round, envelopes);
    const stepped = await stepEngine(this.#context, this.#engine, inbox);
    if (stepped.state === 'done') return { signature: stepped.result };
    this.#round += 1;
    return { envelopes: sealAll(this.#channel, this.#round, stepped.messages) };
  }

  dispose(): void {
    this.#engine.dispose();
  }
}
