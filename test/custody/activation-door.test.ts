/**
 * Guard rail 4: between a key ceremony and the first signature stand one transcript, a test signature of every quorum and
 * the acknowledgement of every party. The ceremony's rounds are played (its engine costs seconds and is tested in
 * test/mpc), its result is the fixture's; envelopes, echoes, test signatures and stores are real.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { newId } from '#core/ids';
import type { ActivationAck } from '#custody/protocol';
import { createDkls23Engine } from '#mpc';
import type { DkgResult, EngineSession, OutgoingMessage, ThresholdEcdsaEngine } from '#mpc/contract';
import { activateKey, runCeremony } from '../../custody/coordinator/ceremony.ts';
import type { SignerTransport } from '../../custody/coordinator/transport.ts';
import { KeyCeremonies } from '../../custody/signer/session-dkg.ts';
import { type CoSigners, clock, prepareCoSigners, random } from '../support/co-signers.ts';
import { fixtureShares } from '../support/mpc-shares.ts';
import { type InProcess, openInProcess } from './in-process.ts';

const parties = [1, 2, 3];
const conflict = { code: 'CUSTODY_SESSION_CONFLICT' };
const invalid = { code: 'CUSTODY_STATEMENT_INVALID' };

let engine: ThresholdEcdsaEngine;
let coSigners: CoSigners;
let opened: readonly InProcess[];
let ceremonies: readonly KeyCeremonies[];
/** Who comes to another transcript than the others. */
let astray: number | undefined;

beforeAll(async () => {
  engine = await createDkls23Engine({ threads: 1, acceptUnaudited: true, dev: true });
}, 60_000);
afterAll(async () => {
  await engine.close();
});
beforeEach(async () => {
  astray = undefined;
  const folder = mkdtempSync(path.join(tmpdir(), 'strongroom-door-'));
  coSigners = await prepareCoSigners({ folder, shares: 'ceremony' });
  const played = playedEngine();
  opened = parties.map((party) => openInProcess(coSigners, party, played));
  ceremonies = opened.map(({ context }) => new KeyCeremonies(context));
});
afterEach(async () => {
  for (const each of ceremonies) each.close();
  for (const { coSigner } of opened) await coSigner.close();
});

/** One byte where the protocol has its messages, and the fixture's shares as the result. */
function playedEngine(): ThresholdEcdsaEngine {
  const played: ThresholdEcdsaEngine = Object.create(engine) as ThresholdEcdsaEngine;
  played.newSigning = async (options) => await engine.newSigning(options);
  played.newDkg = async ({ party, sessionId }) => {
    const direct = (): OutgoingMessage[] =>
      parties.filter((to) => to !== party).map((to) => ({ to, payload: Uint8Array.of(party) }));
    const both = () => [...direct(), { to: 0, payload: Uint8Array.of(party) }];
    const { shares, publicKey, chainCode } = fixtureShares();
    const transcript = createHash('sha256').update(sessionId);
    if (party === astray) transcript.update('another broadcast');
    const result: DkgResult = {
      threshold: 2,
      parties: 3,
      party,
      publicKey,
      chainCode,
      share: (shares[party - 1] ?? new Uint8Array()).slice(),
      transcriptHash: transcript.digest(),
    };
    let round = 1;
    const session: EngineSession<DkgResult> = {
      messages: direct(),
      step: async () => {
        round += 1;
        return await Promise.resolve(
          round <= 3 ? { state: 'more', messages: both() } : { state: 'done', result },
        );
      },
      dispose: () => undefined,
    };
    return await Promise.resolve(session);
  };
  return played;
}

type Hook = (party: number, route: string, body: Readonly<Record<string, unknown>>) => Promise<void>;

function transportWith(hook: Hook = async () => await Promise.resolve()): SignerTransport {
  return async (party, _method, route, body) => {
    await hook(party, route, body as Readonly<Record<string, unknown>>);
    const at = ceremonies[party - 1];
    if (at === undefined) throw new Error(`there is no party ${party}`);
    if (route === '/v1/dkg/open') return at.open(body);
    if (route === '/v1/dkg/start') return await at.start(body);
    if (route === '/v1/dkg/step') return await at.step(body);
    if (route === '/v1/dkg/test/start') return await at.startTest(body);
    if (route === '/v1/dkg/test/step') return await at.stepTest(body);
    if (route === '/v1/dkg/acknowledge') return await at.acknowledge(body);
    return at.activate(body);
  };
}
const ceremony = async (hook?: Hook): Promise<readonly ActivationAck[]> =>
  await runCeremony({
    committee: coSigners.committee,
    transport: transportWith(hook),
    session: newId('ses', clock, random),
    wallet: coSigners.wallet,
  });
const activeEpochs = () => opened.map(({ context }) => context.shares.activeEpoch(coSigners.wallet));

describe('no share is active', () => {
  it('before every quorum of a party has made its test signature', async () => {
    const early = async (quorum: string): Promise<readonly unknown[]> => {
      let answers: Promise<readonly unknown[]> | undefined;
      const ask = async (session: unknown) =>
        await Promise.all(
          ceremonies.map(async (each) => await each.acknowledge({ session }).catch((e: unknown) => e)),
        );
      const aborted = ceremony(async (_party, route, body) => {
        if (route !== '/v1/dkg/test/start' || String(body['participants']) !== quorum) return;
        answers ??= ask(body['session']);
        await answers;
      });
      await expect(aborted).rejects.toMatchObject({ code: 'CUSTODY_SESSION_UNKNOWN' });
      return (await answers) ?? [];
    };
    const untested = {
      ...conflict,
      message: expect.stringContaining('no test signature of quorum') as string,
    };
    for (const answer of await early('1,2')) expect(answer).toMatchObject(untested);
    // Before the last quorum, 2 and 3, only party 1 has seen all of its own.
    const [first, ...others] = await early('2,3');
    expect(first).toMatchObject({ party: 1, wallet: coSigners.wallet });
    expect(others).toHaveLength(2);
    for (const answer of others) expect(answer).toMatchObject(untested);
    expect(activeEpochs()).toEqual([undefined, undefined, undefined]);
  });

  it('when a party came to another transcript', async () => {
    astray = 3;
    await expect(ceremony()).rejects.toMatchObject({
      code: 'CUSTODY_SESSION_ABORTED',
      details: { reason: 'transcript-mismatch' },
    });
    expect(activeEpochs()).toEqual([undefined, undefined, undefined]);
  });

  it('without a good acknowledgement of every party for this very key', async () => {
    const acks = await ceremony();
    const [first, second, third] = acks;
    if (first === undefined || second === undefined || third === undefined)
      throw new Error('three are needed');
    const other = { ...third, transcriptHash: `sha256:${'0'.repeat(64)}` };
    for (const wrong of [
      [first, second, second],
      [first, second, { ...third, signature: second.signature }],
      [first, second, other],
      [first, second, third, third],
    ])
      for (const each of ceremonies) {
        let thrown: unknown;
        try {
          each.activate({ acks: wrong });
        } catch (error) {
          thrown = error;
        }
        expect(thrown).toMatchObject(invalid);
      }
    expect(activeEpochs()).toEqual([undefined, undefined, undefined]);
    const statements = await activateKey(coSigners.committee, transportWith(), acks);
    expect(statements.map(({ party }) => party)).toEqual(parties);
    expect(activeEpochs()).toEqual([0, 0, 0]);
  });
});

describe('a test signature', () => {
  it('is made once per quorum, and not after the activation', async () => {
    const again = async (body: Readonly<Record<string, unknown>>) =>
      await ceremonies[0]
        ?.startTest({ session: body['session'], participants: [1, 2] })
        .catch((e: unknown) => e);
    let twice: unknown;
    await ceremony(async (party, route, body) => {
      if (route === '/v1/dkg/acknowledge' && party === 1) twice = await again(body);
    }).catch(() => undefined);
    expect(twice).toMatchObject(conflict);

    let session = '';
    const acks = await ceremony(async (_party, route, body) => {
      if (route === '/v1/dkg/open') session = String(body['session']);
      await Promise.resolve();
    });
    await activateKey(coSigners.committee, transportWith(), acks);
    for (const participants of [
      [1, 2],
      [1, 3],
    ])
      await expect(ceremonies[0]?.startTest({ session, participants })).rejects.toThrow();
    await expect(ceremony()).rejects.toMatchObject({ code: 'CUSTODY_WALLET_ACTIVE' });
  });
});

it('a party acknowledges only the key it still holds, not one that a later ceremony replaced', async () => {
  let later: readonly ActivationAck[] | undefined;
  const earlier = ceremony(async (party, route) => {
    if (route === '/v1/dkg/acknowledge' && party === 1 && later === undefined) {
      later = [];
      later = await ceremony();
    }
  });
  await expect(earlier).rejects.toMatchObject(conflict);
  await activateKey(coSigners.committee, transportWith(), later ?? []);
  expect(activeEpochs()).toEqual([0, 0, 0]);
});
