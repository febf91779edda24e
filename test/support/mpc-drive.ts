/** Runs sessions of one protocol against each other in one process, in place of co-signers and their network. */
import type { EngineSession, IncomingMessage } from '#mpc/contract';

/** Party number and its session. */
export type Seat<R> = readonly [party: number, session: EngineSession<R>];

/** May replace a payload on its way; `broadcast` tells how it travels. */
export type Tamper = (message: {
  round: number;
  from: number;
  to: number;
  broadcast: boolean;
  payload: Uint8Array;
}) => Uint8Array;

export interface Outcome<R> {
  readonly party: number;
  readonly result?: R;
  readonly error?: unknown;
}

/** What each party ends with; the run stops in the first round in which one fails. */
export async function driveToOutcomes<R>(
  seats: readonly Seat<R>[],
  tamper: Tamper = ({ payload }) => payload,
): Promise<Outcome<R>[]> {
  let outgoing = seats.map(([party, session]) => ({ party, messages: session.messages }));
  for (let round = 1; ; round += 1) {
    const steps = await Promise.allSettled(
      seats.map(async ([to, session]) => {
        const inbox: IncomingMessage[] = [];
        for (const { party: from, messages } of outgoing) {
          for (const { to: addressee, payload } of messages) {
            const broadcast = addressee === 0;
            if (from === to || (!broadcast && addressee !== to)) continue;
            inbox.push({ from, broadcast, payload: tamper({ round, from, to, broadcast, payload }) });
          }
        }
        return await session.step(inbox);
      }),
    );
    const outcomes: Outcome<R>[] = [];
    outgoing = [];
    for (const [index, [party]] of seats.entries()) {
      const step = steps[index];
      if (step === undefined) throw new Error('a step is missing');
      if (step.status === 'rejected') outcomes.push({ party, error: step.reason });
      else if (step.value.state === 'done') outcomes.push({ party, result: step.value.result });
      else outgoing.push({ party, messages: step.value.messages });
    }
    if (outcomes.length > 0) return outcomes;
  }
}

/** The results of an honest run, in the order of the seats. */
export async function drive<R>(seats: readonly Seat<R>[]): Promise<R[]> {
  const outcomes = await driveToOutcomes(seats);
  return outcomes.map(({ result, error }) => {
    if (result === undefined) throw error;
    return result;
  });
}
