import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Envelope } from '#custody/protocol';
import { createDkls23Engine } from '#mpc';
import type { ThresholdEcdsaEngine } from '#mpc/contract';
import type { EnvelopeChannel } from '../../custody/signer/envelope.ts';
import { KeyCeremony } from '../../custody/signer/key-ceremony.ts';
import { openChannel } from '../../custody/signer/session-context.ts';
import { type CoSigners, prepareCoSigners } from '../support/co-signers.ts';
import { type InProcess, openInProcess } from './in-process.ts';

const session = 'ses_01900000-0000-7000-8000-000000000003';
const jointId = Buffer.alloc(32, 7);
const parties = [1, 2, 3];

let coSigners: CoSigners;
let engine: ThresholdEcdsaEngine;
const opened: InProcess[] = [];

beforeAll(async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'strongroom-echo-'));
  coSigners = await prepareCoSigners({ folder, shares: 'ceremony' });
  engine = await createDkls23Engine({ threads: 2, acceptUnaudited: true, dev: true });
  for (const party of parties) opened.push(openInProcess(coSigners, party, engine));
});
afterAll(async () => {
  await engine.close();
  for (const { coSigner } of opened) await coSigner.close();
});

const inbox = (all: readonly Envelope[], party: number): readonly Envelope[] =>
  all.filter(({ from, to }) => from !== party && (to === 0 || to === party));

/** A party that holds its keys and follows the protocol, except that it tells each of the others something else. */
function equivocate(channel: EnvelopeChannel, payloads: readonly Uint8Array[]): readonly Envelope[] {
  return payloads.map((payload) => channel.seal('mpc', 2, 0, payload));
}

async function openCeremonies(): Promise<readonly KeyCeremony[]> {
  const request = { wallet: coSigners.wallet, threshold: 2, parties: 3, epoch: 0 } as const;
  return await Promise.all(
    opened.map(async ({ context }) => {
      const engineSession = await engine.newDkg({
        committee: { threshold: 2, parties: 3 },
        party: context.identity.party,
        sessionId: jointId,
      });
      return new KeyCeremony({ context, session, request, jointId, engine: engineSession });
    }),
  );
}

it('ends a key ceremony in which one party told the others different things, before any proof is revealed', async () => {
  const ceremonies = await openCeremonies();
  const [first, second, third] = ceremonies;
  const cheat = opened[2];
  if (first === undefined || second === undefined || third === undefined || cheat === undefined)
    throw new Error('three parties are needed');
  const dealt = ceremonies.flatMap((ceremony) => ceremony.firstMessages());
  const answers = await Promise.all(
    ceremonies.map(async (each, at) => await each.step(inbox(dealt, at + 1))),
  );
  const committed = answers.flatMap((answer) => (answer.state === 'more' ? answer.envelopes : []));
  const honest = committed.filter(({ from }) => from !== 3);
  const own = committed.filter(({ from, to }) => from === 3 && to !== 0);
  const payload = Buffer.from(
    committed.find(({ from, to }) => from === 3 && to === 0)?.payload ?? '',
    'base64',
  );
  const changed = Buffer.from(payload);
  changed[changed.length - 1] = (changed[changed.length - 1] ?? 0) ^ 1;
  // Sealed with the cheat's own keys on a channel that has sent as much as the honest one: valid for either receiver.
  const channel = openChannel(cheat.context, { session, jointId, epoch: 0, participants: parties });
  for (let sent = 0; sent < 10; sent += 1) channel.seal('mpc', 1, 0, payload);
  const [toFirst, toSecond] = equivocate(channel, [payload, changed]);
  if (toFirst === undefined || toSecond === undefined) throw new Error('no broadcast was made');
  const echoes = await Promise.all([
    first.step([...inbox([...honest, ...own], 1), toFirst]),
    second.step([...inbox([...honest, ...own], 2), toSecond]),
  ]);
  const echoed = echoes.flatMap((answer) => (answer.state === 'more' ? answer.envelopes : []));
  expect(echoed.map(({ kind }) => kind)).toEqual(['echo', 'echo']);
  // The cheat answers either with the echo it expects, so only the honest ones can find it out, from each other.
  const [echoOfFirst, echoOfSecond] = echoed.map(({ payload: text }) => Buffer.from(text, 'base64'));
  if (echoOfFirst === undefined || echoOfSecond === undefined) throw new Error('no echo was made');
  const lieToFirst = channel.seal('echo', 2, 0, echoOfFirst);
  const lieToSecond = channel.seal('echo', 2, 0, echoOfSecond);
  const mismatch = { code: 'CUSTODY_SESSION_ABORTED', details: { reason: 'echo-mismatch', round: 2 } };
  await expect(first.step([...inbox(echoed, 1), lieToFirst])).rejects.toMatchObject(mismatch);
  await expect(second.step([...inbox(echoed, 2), lieToSecond])).rejects.toMatchObject(mismatch);
  for (const { context } of opened) expect(context.shares.facts(coSigners.wallet, 0)).toBeUndefined();
  for (const ceremony of ceremonies) ceremony.dispose();
});
