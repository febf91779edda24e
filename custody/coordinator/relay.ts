/** Carries envelopes between co-signers until the protocol is done. It can read no payload and forge no message. */
import { errorsOf } from '#core/errors';
import { custodyErrors, type Envelope, type StepAnswer } from '#custody/protocol';

const fail = errorsOf(custodyErrors);
/** The longest protocol, the key ceremony, takes six steps. */
const stepsMax = 8;

/** All of them, or the first failure once every call has ended, so that no call outlives its session. */
export async function allSettledOrThrow<T>(calls: readonly Promise<T>[]): Promise<T[]> {
  const outcomes = await Promise.allSettled(calls);
  return outcomes.map((outcome) => {
    if (outcome.status === 'rejected') throw outcome.reason;
    return outcome.value;
  });
}

/**
 * @param step sends the envelopes for one party and returns its answer
 * @returns the last answers, in the order of the participants
 */
export async function relayRounds(
  participants: readonly number[],
  first: readonly StepAnswer[],
  step: (party: number, envelopes: readonly Envelope[]) => Promise<StepAnswer>,
): Promise<readonly StepAnswer[]> {
  let answers = first;
  for (let count = 0; count < stepsMax; count += 1) {
    if (answers.every((answer) => answer.state === 'done')) return answers;
    const sent = answers.flatMap((answer) => (answer.state === 'more' ? answer.envelopes : []));
    answers = await allSettledOrThrow(
      participants.map(async (party) => {
        const inbox = sent.filter(
          (message) => message.from !== party && (message.to === 0 || message.to === party),
        );
        return await step(party, inbox);
      }),
    );
  }
  throw fail('CUSTODY_SESSION_ABORTED', `the protocol did not end after ${stepsMax} steps`);
}
