/** Guard rail 5 over many sessions: what one of them shows of a party holds in all of them, and over a restart. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { errorsOf } from '#core/errors';
import { newId } from '#core/ids';
import type { Contribution, Envelope, StepAnswer } from '#custody/protocol';
import { createDkls23Engine } from '#mpc';
import { type EngineSession, mpcErrors, type ThresholdEcdsaEngine } from '#mpc/contract';
import { stepEngine } from '../../custody/signer/protocol-run.ts';
import { SigningSessions } from '../../custody/signer/session-sign.ts';
import { abortsPerHourMax } from '../../custody/signer/shares.ts';
import { type CoSigners, clock, prepareCoSigners, random } from '../support/co-signers.ts';
import { type InProcess, openInProcess } from './in-process.ts';

const participants = [1, 3];
const banned = { code: 'CUSTODY_BANNED', details: { party: 3, by: 1 } };

let coSigners: CoSigners;
let engine: ThresholdEcdsaEngine;
let opened: readonly InProcess[];
let sessions: readonly [SigningSessions, SigningSessions];

beforeAll(async () => {
  engine = await createDkls23Engine({ threads: 1, acceptUnaudited: true, dev: true });
}, 60_000);
afterAll(async () => {
  await engine.close();
});
// What is remembered of a party is durable, so every test has its own committee.
beforeEach(async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'strongroom-bans-'));
  coSigners = await prepareCoSigners({ folder, shares: 'fixture' });
  opened = participants.map((party) => openInProcess(coSigners, party, engine));
  const [first, third] = opened.map(({ context }) => new SigningSessions(context));
  if (first === undefined || third === undefined) throw new Error('two parties are needed');
  sessions = [first, third];
}, 60_000);
afterEach(async () => {
  for (const each of sessions) each.close();
  for (const { coSigner } of opened) await coSigner.close();
});

interface OpenedSession {
  readonly session: string;
  readonly contributions: readonly Contribution[];
}
async function openPair(): Promise<OpenedSession> {
  const session = newId('ses', clock, random);
  const request = { ...coSigners.order(), participants };
  const answers = await Promise.all(sessions.map(async (each) => await each.open({ session, request })));
  return { session, contributions: answers.map(({ contribution }) => contribution) };
}
const envelopesOf = (answer: StepAnswer): readonly Envelope[] =>
  answer.state === 'more' ? answer.envelopes : [];

it('a party that spoils one session after the other has to wait, over a restart too', async () => {
  const first = opened[0]?.context;
  if (first === undefined) throw new Error('party 1 is needed');
  const spoiled: EngineSession<never> = {
    messages: [],
    step: () =>
      Promise.reject(errorsOf(mpcErrors)('MPC_ABORTED', 'it does not verify', { party: 3, ban: false })),
    dispose: () => undefined,
  };
  const spoil = async () =>
    await stepEngine(first, spoiled, [{ from: 3, broadcast: false, payload: new Uint8Array() }]);
  for (let count = 0; count < abortsPerHourMax; count += 1)
    await expect(spoil()).rejects.toMatchObject({ code: 'CUSTODY_SESSION_ABORTED', details: { party: 3 } });
  const under = await openPair();
  await expect(spoil()).rejects.toMatchObject({ code: 'CUSTODY_SESSION_ABORTED' });
  const limited = { code: 'CUSTODY_SESSIONS_LIMITED', details: { party: 3 } };
  await expect(sessions[0].start(under)).rejects.toMatchObject(limited);
  const restarted = openInProcess(coSigners, 1, engine);
  const request = { ...coSigners.order(), participants };
  const body = { session: newId('ses', clock, random), request };
  await expect(new SigningSessions(restarted.context).open(body)).rejects.toMatchObject(limited);
  await restarted.coSigner.close();
});

it('ends the sessions with the banned party that are open, started or in the middle of a step', async () => {
  const [first, third] = sessions;
  const [waiting, started, stepping] = [await openPair(), await openPair(), await openPair()];
  await first.start(started);
  const messages = envelopesOf(await third.start(started));
  await first.start(stepping);
  const parallel = envelopesOf(await third.start(stepping));

  // The cheat of another session comes out while this step computes.
  const step = first.step({ session: stepping.session, envelopes: parallel });
  opened[0]?.context.guard.ban(3, 'a failed consistency check');
  await expect(step).rejects.toMatchObject(banned);
  await expect(first.step({ session: started.session, envelopes: messages })).rejects.toMatchObject(banned);
  await expect(first.start(waiting)).rejects.toMatchObject(banned);
  expect(first.size).toBe(0);
});
