/** A ban ends what is under way: many sessions opened before a cheat must not give the cheat many attempts. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { newId } from '#core/ids';
import type { Contribution, Envelope, StepAnswer } from '#custody/protocol';
import { createDkls23Engine } from '#mpc';
import type { ThresholdEcdsaEngine } from '#mpc/contract';
import { SigningSessions } from '../../custody/signer/session-sign.ts';
import { type CoSigners, clock, prepareCoSigners, random } from '../support/co-signers.ts';
import { type InProcess, openInProcess } from './in-process.ts';

const participants = [1, 3];
const banned = { code: 'CUSTODY_BANNED', details: { party: 3, by: 1 } };

let coSigners: CoSigners;
let engine: ThresholdEcdsaEngine;
const opened: InProcess[] = [];
let sessions: readonly [SigningSessions, SigningSessions];

beforeAll(async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'strongroom-bans-'));
  coSigners = await prepareCoSigners({ folder, shares: 'fixture' });
  engine = await createDkls23Engine({ threads: 1, acceptUnaudited: true, dev: true });
  for (const party of participants) opened.push(openInProcess(coSigners, party, engine));
  const [first, third] = opened.map(({ context }) => new SigningSessions(context));
  if (first === undefined || third === undefined) throw new Error('two parties are needed');
  sessions = [first, third];
}, 60_000);
afterAll(async () => {
  for (const each of sessions) each.close();
  await engine.close();
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
