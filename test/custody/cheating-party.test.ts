import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { newId } from '#core/ids';
import type { Coordinator, WalletRoot } from '#custody/contract';
import { createLogger } from '#infra/log';
import { createDkls23Engine } from '#mpc';
import type { EngineSession, OutgoingMessage, ThresholdEcdsaEngine } from '#mpc/contract';
import { createCoordinator } from '../../custody/coordinator/index.ts';
import { createHttpTransport, type SignerTransport } from '../../custody/coordinator/transport.ts';
import { Dkls23Engine } from '../../custody/multi-party-ecdsa-wasm/engine.ts';
import { SigningSessions } from '../../custody/signer/session-sign.ts';
import { type CoSigners, clock, prepareCoSigners, random } from '../support/co-signers.ts';
import { moduleBytes } from '../support/mpc-module.ts';
import { fixtureShares } from '../support/mpc-shares.ts';
import { withTrapIn } from '../support/wasm-patch.ts';
import { type InProcess, openInProcess } from './in-process.ts';

const silent = createLogger('test', { level: 'silent' });

let coSigners: CoSigners;
let http: SignerTransport & { close: () => void };
let honestEngine: ThresholdEcdsaEngine;
let third: InProcess;

beforeAll(async () => {
  honestEngine = await createDkls23Engine({ threads: 1, acceptUnaudited: true, dev: true });
}, 60_000);
// A ban is for good, so every test has its own committee. Parties 1 and 2 are processes, party 3 is played here.
beforeEach(async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'strongroom-cheat-'));
  coSigners = await prepareCoSigners({ folder, shares: 'fixture' });
  http = createHttpTransport(coSigners.committee);
  third = openInProcess(coSigners, 3, honestEngine);
  await Promise.all([coSigners.start(1), coSigners.start(2)]);
  return async () => {
    http.close();
    await coSigners.stopAll();
    await third.coSigner.close();
  };
}, 60_000);
afterAll(async () => {
  await honestEngine.close();
});

/** The coordinator with party 3 behind a function call instead of HTTP. */
function coordinatorWith(sessions: SigningSessions): Coordinator {
  const transport: SignerTransport = async (party, method, route, body) => {
    if (party !== 3) return await http(party, method, route, body);
    if (route === '/v1/sign/open') return await sessions.open(body);
    if (route === '/v1/sign/start') return await sessions.start(body);
    return await sessions.step(body);
  };
  const { publicKey, chainCode } = fixtureShares();
  const rootOf = async () => await Promise.resolve({ publicKey, chainCode } as unknown as WalletRoot);
  const { committee } = coSigners;
  return createCoordinator({ committee, log: silent, clock, random, dev: true, transport, rootOf });
}

const flipped = ({ to, payload }: OutgoingMessage): OutgoingMessage => {
  const changed = payload.slice();
  changed[changed.length >> 1] = (changed[changed.length >> 1] ?? 0) ^ 1;
  return { to, payload: changed };
};
/** Follows the protocol in everything but the content of its first messages, which it seals as its own. */
function cheatingEngine(): ThresholdEcdsaEngine {
  const engine: ThresholdEcdsaEngine = Object.create(honestEngine) as ThresholdEcdsaEngine;
  engine.newSigning = async (options) => {
    const session = await honestEngine.newSigning(options);
    const cheating: typeof session = {
      messages: session.messages.map(flipped),
      step: async (inbox) => await session.step(inbox),
      dispose: () => {
        session.dispose();
      },
    };
    return cheating satisfies EngineSession<unknown>;
  };
  engine.shareInfo = async (options) => await honestEngine.shareInfo(options);
  return engine;
}

async function logKinds(party: number): Promise<string[]> {
  const { records } = (await http(party, 'GET', '/v1/log')) as { records: { kind: string }[] };
  return records.map(({ kind }) => kind);
}

it('is banned for good by whom it cheats, over a restart, while the others go on signing', async () => {
  const coordinator = coordinatorWith(new SigningSessions({ ...third.context, engine: cheatingEngine() }));
  // Pairs take turns: 1+2, then 1+3, which the cheat spoils.
  await coordinator.sign(coSigners.order());
  const spoiled = await coordinator.sign(coSigners.order());
  expect(spoiled.aborted).toHaveLength(1);
  const victim = (await logKinds(1)).includes('banned') ? 1 : 2;
  expect(await logKinds(victim)).toContain('banned');

  await coSigners.kill(victim);
  await coSigners.start(victim);
  const honest = new SigningSessions(third.context);
  const request = { ...coSigners.order(), participants: [victim, 3] };
  const body = { session: newId('ses', clock, random), request };
  await expect(http(victim, 'POST', '/v1/sign/open', body)).rejects.toMatchObject({
    code: 'CUSTODY_BANNED',
    details: { party: 3, signer: victim },
  });
  for (let turn = 0; turn < 3; turn += 1) {
    const { participants } = await coordinatorWith(honest).sign(coSigners.order());
    expect(participants.includes(victim) && participants.includes(3)).toBe(false);
  }
});

it('loses one session to a trap in its module, is banned by nobody, and its thread goes on', async () => {
  const trapping = await Dkls23Engine.start(
    new WebAssembly.Module(withTrapIn(moduleBytes, 'mpc_session_step')),
    1,
  );
  try {
    const sessions = new SigningSessions({ ...third.context, engine: trapping });
    const coordinator = coordinatorWith(sessions);
    await coordinator.sign(coSigners.order());
    const result = await coordinator.sign(coSigners.order());
    expect(result.aborted.map(({ reason }) => reason).join()).toContain('the signing module stopped');
    expect(sessions.size).toBe(0);
    expect([...(await logKinds(1)), ...(await logKinds(2))]).not.toContain('banned');
    const share = fixtureShares().shares[2] ?? new Uint8Array();
    await expect(trapping.shareInfo({ share, path: 'm' })).resolves.toMatchObject({ party: 3 });
    // With its module repaired the same party signs again.
    const repaired = coordinatorWith(new SigningSessions(third.context));
    const participants = [];
    for (let turn = 0; turn < 3; turn += 1)
      participants.push(...(await repaired.sign(coSigners.order())).participants);
    expect(participants).toContain(3);
  } finally {
    await trapping.close();
  }
});
