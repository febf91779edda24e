/**
 * One real 2-of-3 key generation in which party 1 is a bare module whose rounds can be replayed with other messages,
 * and parties 2 and 3 are sessions of the engine. A key generation costs 17 CPU-seconds, so tests share this one.
 */
import { randomBytes } from 'node:crypto';
import type { DkgResult, EngineSession, IncomingMessage, ThresholdEcdsaEngine } from '#mpc/contract';
import { decodeDkgResult, decodeOutbox } from '../../custody/multi-party-ecdsa-wasm/frames.ts';
import type { CallOutcome } from '../../custody/multi-party-ecdsa-wasm/instance.ts';
import { BareParty } from './mpc-module.ts';

const victim = 1;

export interface Sent {
  readonly round: number;
  readonly from: number;
  /** 0 is everybody. */
  readonly to: number;
  readonly payload: Uint8Array;
}

export interface VictimRun {
  readonly sessionId: Uint8Array;
  readonly sent: readonly Sent[];
  /** In the order of the parties. */
  readonly results: readonly DkgResult[];
  inbox(round: number): IncomingMessage[];
  /** What party 1 makes of this inbox in this round of the run. */
  attempt(round: number, inbox: readonly IncomingMessage[]): CallOutcome;
}

function inboxOf(sent: readonly Sent[], round: number, party: number): IncomingMessage[] {
  return sent
    .filter((message) => message.round === round && message.from !== party)
    .filter(({ to }) => to === 0 || to === party)
    .map(({ from, to, payload }) => ({ from, broadcast: to === 0, payload }));
}

export async function runDkgWithVictim(engine: ThresholdEcdsaEngine): Promise<VictimRun> {
  const sessionId = randomBytes(32);
  const committee = { threshold: 2, parties: 3 };
  const bare = new BareParty(victim, 'ecdsa_dkg_new', [2, 3, victim, sessionId]);
  const sessions = await Promise.all(
    [2, 3].map(async (party) => [party, await engine.newDkg({ committee, party, sessionId })] as const),
  );
  const states: Uint8Array[] = [];
  const sent: Sent[] = bare.messages.map((message) => ({ ...message, round: 1, from: victim }));
  for (const [from, { messages }] of sessions) {
    for (const message of messages) sent.push({ ...message, round: 1, from });
  }
  const results: DkgResult[] = [];
  for (const round of [1, 2, 3]) {
    states.push(bare.snapshot());
    const others = sessions.map(async ([party, session]) => await stepSession(party, session, round, sent));
    const outcome = bare.step(inboxOf(sent, round, victim));
    if (!outcome.ok) throw new Error(`party ${victim} stopped: ${outcome.failure.reason}`);
    if (outcome.value === 0) results.push(decodeDkgResult(outcome.output));
    const next = outcome.value === 0 ? [] : decodeOutbox(outcome.output);
    const settled = await Promise.all(others);
    sent.push(...next.map((message) => ({ ...message, round: round + 1, from: victim })));
    for (const { messages, result } of settled) {
      sent.push(...messages);
      if (result !== undefined) results.push(result);
    }
  }
  return {
    sessionId,
    sent,
    results,
    inbox: (round) => inboxOf(sent, round, victim),
    attempt: (round, inbox) => {
      const state = states[round - 1];
      if (state === undefined) throw new Error(`no round ${round}`);
      return bare.attempt(state, inbox);
    },
  };
}

async function stepSession(
  from: number,
  session: EngineSession<DkgResult>,
  round: number,
  sent: readonly Sent[],
): Promise<{ messages: Sent[]; result?: DkgResult }> {
  const step = await session.step(inboxOf(sent, round, from));
  if (step.state === 'done') return { messages: [], result: step.result };
  return { messages: step.messages.map((message) => ({ ...message, round: round + 1, from })) };
}
