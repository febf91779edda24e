/** One signing session: open at all participants, start, relay, and the same signature from each of them. */
import { errorsOf, isStrongroomError, messageOf } from '#core/errors';
import {
  checkNames,
  custodyErrors,
  type FinishedSignature,
  type Refusal,
  type SignRequest,
} from '#custody/protocol';
import { readOpenAnswer, readStepAnswer } from './answers.ts';
import { allSettledOrThrow, relayRounds } from './relay.ts';
import type { SignerTransport } from './transport.ts';

const fail = errorsOf(custodyErrors);

/** Why a participant did not take part. */
export type Absence =
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  | { readonly kind: 'unreachable' | 'unwilling'; readonly party: number; readonly reason: string };
export type SessionOutcome =
  | { readonly state: 'signed'; readonly signature: FinishedSignature }
  /** Nothing was started. */
  | { readonly state: 'not-opened'; readonly absences: readonly Absence[] }
  /** It may have been started; nothing usable came of it. `party` is the one whose call failed, 0 if unknown. */
  | {
      readonly state: 'aborted';
      readonly reason: string;
      readonly party: number;
      /** Whom a co-signer banned for it, 0 for nobody. Its word only, so it decides no more than whom to try next. */
      readonly blamed: number;
      readonly absences: readonly Absence[];
    };

export function absenceOf(party: number, error: unknown): Absence {
  const reason = messageOf(error);
  if (!isStrongroomError(error) || error.code === 'CUSTODY_SIGNER_UNREACHABLE')
    return { kind: 'unreachable', party, reason };
  const { check, reason: refusedFor } = error.details;
  const known = checkNames.find((name) => name === check);
  if (error.code === 'CUSTODY_REFUSED' && known !== undefined && typeof refusedFor === 'string')
    return {
      kind: 'refused',
      refusal: { check: known, reason: refusedFor, message: error.message, party },
    };
  return { kind: 'unwilling', party, reason: `${error.code}: ${reason}` };
}

/** A call that failed, and whose it was. */
class CallFailed extends Error {
  readonly party: number;
  constructor(party: number, cause: unknown) {
    super(messageOf(cause), { cause });
    this.party = party;
  }
}

export async function runSigning(options: {
  readonly transport: SignerTransport;
  readonly session: string;
  readonly request: SignRequest;
}): Promise<SessionOutcome> {
  const { transport, session, request } = options;
  const { participants } = request;
  const opened = await Promise.allSettled(
    participants.map(async (party) =>
      readOpenAnswer(await transport(party, 'POST', '/v1/sign/open', { session, request })),
    ),
  );
  const absences = opened.flatMap((outcome, index) =>
    outcome.status === 'rejected' ? [absenceOf(participants[index] ?? 0, outcome.reason)] : [],
  );
  if (absences.length > 0) return { state: 'not-opened', absences };
  const contributions = opened.flatMap((outcome) =>
    outcome.status === 'fulfilled' ? [outcome.value.contribution] : [],
  );
  const post = async (party: number, path: string, body: object) => {
    try {
      return readStepAnswer(await transport(party, 'POST', path, { session, ...body }));
    } catch (error) {
      throw new CallFailed(party, error);
    }
  };
  try {
    const first = await allSettledOrThrow(
      participants.map(async (party) => await post(party, '/v1/sign/start', { contributions })),
    );
    const last = await relayRounds(
      participants,
      first,
      async (party, envelopes) => await post(party, '/v1/sign/step', { envelopes }),
    );
    const signatures = last.map((answer) => (answer.state === 'done' ? answer.signature : undefined));
    return { state: 'signed', signature: theSame(signatures) };
  } catch (error) {
    const cause = error instanceof CallFailed ? error.cause : error;
    const party = error instanceof CallFailed ? error.party : 0;
    const absence = absenceOf(party, cause);
    const refusals = absence.kind === 'refused' || absence.kind === 'unreachable' ? [absence] : [];
    const blamed = isStrongroomError(cause) && cause.details['banned'] === true ? cause.details['party'] : 0;
    return {
      state: 'aborted',
      reason: messageOf(cause),
      party,
      blamed: typeof blamed === 'number' ? blamed : 0,
      absences: party === 0 ? [] : refusals,
    };
  }
}

function theSame(signatures: readonly (FinishedSignature | undefined)[]): FinishedSignature {
  const [first] = signatures;
  if (first === undefined) throw fail('CUSTODY_SESSION_ABORTED', 'a co-signer ended without a signature');
  for (const other of signatures)
    if (other?.compact !== first.compact || other.recoveryId !== first.recoveryId)
      throw fail('CUSTODY_SESSION_ABORTED', 'the co-signers ended with different signatures');
  return first;
}
