import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { keccak_256 } from '@noble/hashes/sha3.js';
import { HDKey } from '@scure/bip32';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newId } from '#core/ids';
import type { Coordinator, SignOrder, SignResult, WalletRoot } from '#custody/contract';
import type { Envelope, SignRequest } from '#custody/protocol';
import { createLogger } from '#infra/log';
import { createCoordinator } from '../../custody/coordinator/index.ts';
import { createHttpTransport, type SignerTransport } from '../../custody/coordinator/transport.ts';
import { addressAtPath } from '../../custody/signer/decode/address.ts';
import { type CoSigners, clock, hotPath, prepareCoSigners, random } from '../support/co-signers.ts';
import {
  changeEnvelopes,
  flipPayload,
  type Lie,
  lyingTransport,
  swapDestination,
} from '../support/lying-coordinator.ts';
import { fixtureShares } from '../support/mpc-shares.ts';

const recipient = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8';
const thief = '0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65';
const silent = createLogger('test', { level: 'silent' });

let coSigners: CoSigners;
let honest: SignerTransport & { close: () => void };
const closing: (() => void)[] = [];

beforeAll(async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'strongroom-signing-'));
  coSigners = await prepareCoSigners({ folder, shares: 'fixture' });
  honest = createHttpTransport(coSigners.committee);
  await coSigners.startAll();
}, 120_000);
afterAll(async () => {
  for (const close of closing) close();
  honest.close();
  await coSigners.stopAll();
});

function coordinatorOver(transport: SignerTransport): Coordinator {
  const { publicKey, chainCode } = fixtureShares();
  const root = { publicKey, chainCode } as unknown as WalletRoot;
  const { committee } = coSigners;
  // The fixture's statements name no transcript of a ceremony, but its key is known.
  const rootOf = async (): Promise<WalletRoot> => await Promise.resolve(root);
  return createCoordinator({ committee, log: silent, clock, random, dev: true, transport, rootOf });
}
function lyingCoordinator(lie: Lie): Coordinator {
  const transport = lyingTransport(coSigners.committee, lie);
  closing.push(transport.close);
  return coordinatorOver(transport);
}

function expectValid(order: SignOrder, { signature }: SignResult): void {
  const { publicKey, chainCode } = fixtureShares();
  const child = new HDKey({ publicKey, chainCode }).derive(order.path).publicKey;
  const digest = keccak_256(Uint8Array.from(Buffer.from(order.unsigned, 'hex')));
  const compact = Uint8Array.from(Buffer.from(signature.compact, 'hex'));
  expect(signature.publicKey).toBe(Buffer.from(child ?? []).toString('hex'));
  expect(secp256k1.verify(compact, digest, child ?? new Uint8Array(), { prehash: false, lowS: true })).toBe(
    true,
  );
}

async function bansIn(party: number): Promise<number> {
  const answer = (await honest(party, 'GET', '/v1/log')) as { records: { kind: string }[] };
  return answer.records.filter(({ kind }) => kind === 'banned').length;
}

/** Opens and starts one session at the given pair by hand. */
async function startByHand(order: SignOrder, participants: number[], session = newId('ses', clock, random)) {
  const request: SignRequest = { ...order, participants };
  const opened = await Promise.all(
    participants.map(async (party) => await honest(party, 'POST', '/v1/sign/open', { session, request })),
  );
  const contributions = (opened as { contribution: unknown }[]).map(({ contribution }) => contribution);
  const start = async (party: number, given: unknown = contributions): Promise<unknown> =>
    await honest(party, 'POST', '/v1/sign/start', { session, contributions: given });
  return { session, contributions, start };
}

describe('signing over three co-signer processes', () => {
  it('takes turns through every pair, and each signature verifies under the derived key', async () => {
    const coordinator = coordinatorOver(honest);
    const pairs: string[] = [];
    const { publicKey, chainCode } = fixtureShares();
    const hot = addressAtPath(
      Buffer.from(publicKey).toString('hex'),
      Buffer.from(chainCode).toString('hex'),
      hotPath,
    );
    const sweep = { path: 'm/0/41', to: hot ?? '', intent: { action: 'sweep' } } as const;
    for (const options of [{}, {}, {}, sweep, {}, sweep]) {
      const order = coSigners.order(options);
      const result = await coordinator.sign(order);
      expectValid(order, result);
      pairs.push(result.participants.join('+'));
    }
    expect(new Set(pairs)).toEqual(new Set(['1+2', '1+3', '2+3']));
    expect(pairs.slice(0, 3)).toEqual(pairs.slice(3));
  });

  it('is refused by all co-signers when the destination is swapped after approval, with the check named', async () => {
    const coordinator = lyingCoordinator(swapDestination(recipient, thief));
    await expect(coordinator.sign(coSigners.order())).rejects.toMatchObject({
      code: 'CUSTODY_REFUSED',
      details: { parties: [1, 2, 3], checks: ['intent', 'intent', 'intent'] },
    });
  });

  it('finds an honest end when one party cannot be reached', async () => {
    const coordinator = coordinatorOver(async (party, ...rest) => {
      if (party === 2) throw new Error('cut off');
      return await honest(party, ...rest);
    });
    const order = coSigners.order();
    const result = await coordinator.sign(order);
    expectValid(order, result);
    expect(result.participants).toEqual([1, 3]);
  });

  it('names who is unreachable when too few answer', async () => {
    const coordinator = coordinatorOver(async (party, ...rest) => {
      if (party !== 1) throw new Error('cut off');
      return await honest(party, ...rest);
    });
    await expect(coordinator.sign(coSigners.order())).rejects.toMatchObject({
      code: 'CUSTODY_SIGNER_UNREACHABLE',
    });
  });
});

describe('what a relay can do', () => {
  it('ends the session by changing a message, and bans nobody', async () => {
    for (const round of [1, 2, 3]) {
      const coordinator = lyingCoordinator(
        changeEnvelopes((envelope: Envelope) =>
          envelope.round === round ? flipPayload(envelope) : envelope,
        ),
      );
      await expect(coordinator.sign(coSigners.order())).rejects.toMatchObject({
        code: 'CUSTODY_SESSION_ABORTED',
        message: expect.stringContaining('the signature does not verify') as unknown,
      });
    }
    expect([await bansIn(1), await bansIn(2), await bansIn(3)]).toEqual([0, 0, 0]);
    await coordinatorOver(honest).sign(coSigners.order());
  });

  it('cannot replay the messages of an earlier session of the same pair', async () => {
    const recorded: Envelope[] = [];
    const record = lyingCoordinator(
      changeEnvelopes((envelope) => {
        recorded.push(envelope);
        return envelope;
      }),
    );
    await record.sign(coSigners.order());
    const replay = lyingCoordinator(
      changeEnvelopes((envelope) => {
        const old = recorded.find(
          ({ from, to, round }) => from === envelope.from && to === envelope.to && round === envelope.round,
        );
        return old === undefined ? envelope : { ...old, session: envelope.session };
      }),
    );
    await expect(replay.sign(coSigners.order())).rejects.toMatchObject({ code: 'CUSTODY_SESSION_ABORTED' });
    expect([await bansIn(1), await bansIn(2), await bansIn(3)]).toEqual([0, 0, 0]);
  });

  it('cannot hand the co-signers contributions they did not make', async () => {
    const { start, contributions } = await startByHand(coSigners.order(), [1, 2]);
    const [first, second] = contributions as { value: string }[];
    const swapped = [first, { ...second, value: '00'.repeat(32) }];
    await expect(start(1, swapped)).rejects.toMatchObject({ code: 'CUSTODY_ENVELOPE_INVALID' });
    const { start: again, contributions: fresh } = await startByHand(coSigners.order(), [1, 2]);
    // Contributions of another session, although of the same parties.
    await expect(again(1, [first, (fresh as unknown[])[1]])).rejects.toMatchObject({
      code: 'CUSTODY_ENVELOPE_INVALID',
    });
  });

  it('cannot start a session twice, nor use its id again', async () => {
    const order = coSigners.order();
    const { session, start } = await startByHand(order, [1, 2]);
    await start(1);
    await expect(start(1)).rejects.toMatchObject({ code: 'CUSTODY_SESSION_CONFLICT' });
    await expect(startByHand(order, [1, 2], session)).rejects.toMatchObject({
      code: 'CUSTODY_SESSION_CONFLICT',
    });
  });

  it('learns nothing of what a share holder keeps: nothing in flight contains the share', async () => {
    const seen: string[] = [];
    const coordinator = lyingCoordinator({
      onAnswer: (_, answer) => {
        seen.push(JSON.stringify(answer));
        return answer;
      },
    });
    await coordinator.sign(coSigners.order());
    const share = Buffer.from(fixtureShares().shares[0] ?? []).toString('base64');
    expect(seen.length).toBeGreaterThan(8);
    for (const text of seen) expect(text.includes(share.slice(64, 128))).toBe(false);
  });
});

describe('a co-signer process', () => {
  it('is killed in mid-signature: a new session with another pair signs', async () => {
    let victim = 0;
    const coordinator = coordinatorOver(async (party, method, route, body) => {
      if (victim === 0 && route === '/v1/sign/step') {
        victim = party;
        await coSigners.kill(party);
      }
      return await honest(party, method, route, body);
    });
    const order = coSigners.order();
    const result = await coordinator.sign(order);
    expectValid(order, result);
    expect(result.aborted).toHaveLength(1);
    expect(result.participants).not.toContain(victim);
    await coSigners.start(victim);
    // What it was in the middle of is gone; the share and the log are not.
    await coordinatorOver(honest).sign(coSigners.order());
    expect((await coordinatorOver(honest).health()).every(({ ok }) => ok)).toBe(true);
  });

  it('answers what it does not understand with a code and lives on', async () => {
    const { url } = coSigners.committee.members[0] ?? { url: '' };
    const post = async (body: string, type = 'application/json') => {
      const response = await fetch(`${url}/v1/sign/open`, {
        method: 'POST',
        body,
        headers: { 'content-type': type },
      });
      return [response.status, ((await response.json()) as { code: string }).code];
    };
    const invalid = [400, 'CUSTODY_REQUEST_INVALID'];
    expect(await post('{')).toEqual(invalid);
    expect(await post('{}')).toEqual(invalid);
    expect(await post('{}', 'text/plain')).toEqual(invalid);
    expect(await post(JSON.stringify({ padding: 'x'.repeat(3_000_000) })).catch(() => invalid)).toEqual(
      invalid,
    );
    expect((await fetch(`${url}/v1/nothing`)).status).toBe(400);
    expect((await fetch(`${url}/health`)).status).toBe(200);
  });

  it('writes no share and no key into its log file', () => {
    const log = readFileSync(path.join(coSigners.folder, 'signer-1.log'), 'utf8');
    const share = Buffer.from(fixtureShares().shares[0] ?? []);
    expect(log).toContain('serving');
    expect(log.includes(share.toString('base64').slice(64, 128))).toBe(false);
    expect(log.includes(share.toString('hex').slice(64, 128))).toBe(false);
  });
});
