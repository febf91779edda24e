/** What the worker believes of co-signers when something between them lies: only what they signed for this question. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createHeadWitnesses } from '#custody';
import type { WitnessedHeads } from '#custody/protocol';
import type { HeadWitnesses, SignedHead } from '#ledger/contract';
import { createHttpTransport, type SignerTransport } from '../../custody/coordinator/transport.ts';
import { type HeadKey, makeHeadKey, openHeadKey } from '../../ledger/head-key.ts';
import { ledgerHeadDomain } from '../../ledger/heads.ts';
import { openWitnesses, type Witnesses } from '../ledger/witnesses.ts';
import { closeFixtures, temporaryFolder } from '../signer/fixture.ts';
import { prepareCoSigners, random } from '../support/co-signers.ts';

let key: HeadKey;
let committee: Witnesses;
beforeEach(async () => {
  const file = join(temporaryFolder(), 'ledger.pem');
  writeFileSync(file, makeHeadKey(), { mode: 0o600 });
  key = openHeadKey(file);
  committee = await openWitnesses(key.publicKey);
});
afterEach(async () => {
  await committee.close();
  await closeFixtures();
});

function headOf(batch: number, digit = 'a'): SignedHead {
  return key.sign({
    domain: ledgerHeadDomain,
    ledger: key.ledger,
    batch: String(batch),
    lastSeq: String(batch * 10),
    hash: `sha256:${digit.repeat(64)}`,
    recordedMs: batch,
    signedMs: batch,
  });
}

/** `change` sees every true answer and gives what arrives. */
function through(change: (answer: WitnessedHeads, party: number) => unknown): HeadWitnesses {
  const real = createHttpTransport(committee.committee);
  const transport: SignerTransport = async (party, method, path, body) =>
    change((await real(party, method, path, body)) as WitnessedHeads, party);
  return createHeadWitnesses({
    committee: committee.committee,
    random,
    transport: Object.assign(transport, { close: real.close }),
  });
}
const failures = 'failed CUSTODY_STATEMENT_INVALID';
const statesOf = (answers: readonly { state: string; code?: string }[]): string[] =>
  answers.map(({ state, code }) => (code === undefined ? state : `${state} ${code}`));

describe('a relay', () => {
  it.each<[string, (answer: WitnessedHeads) => unknown]>([
    ['drops a head', (answer) => ({ ...answer, heads: answer.heads.slice(1) })],
    [
      'changes a head',
      (answer) => ({ ...answer, heads: answer.heads.map((entry) => ({ ...entry, head: headOf(9) })) }),
    ],
    [
      'changes a time',
      (answer) => ({ ...answer, heads: answer.heads.map((entry) => ({ ...entry, at: 1 })) }),
    ],
    ['speaks for another', (answer) => ({ ...answer, party: (answer.party % 3) + 1 })],
    ['adds a field', (answer) => ({ ...answer, more: 1 })],
    ['says nothing', () => ({})],
    ['signs for itself', (answer) => ({ ...answer, signature: `${'A'.repeat(86)}==` })],
  ])('that %s is not believed', async (_title, change) => {
    await committee.publish(headOf(1));
    const lying = through(change);
    expect(statesOf(await lying.read(10))).toEqual([failures, failures, failures]);
    expect(statesOf(await lying.publish(headOf(2, 'b')))).toEqual([failures, failures, failures]);
  });

  it('that gives the answer of an earlier question is not believed', async () => {
    await committee.publish(headOf(1));
    const kept = new Map<number, WitnessedHeads>();
    const replaying = through((answer, party) => {
      if (!kept.has(party)) kept.set(party, answer);
      return kept.get(party);
    });
    expect(statesOf(await replaying.read(10))).toEqual(['read', 'read', 'read']);
    await committee.publish(headOf(2, 'b'));
    expect(statesOf(await replaying.read(10))).toEqual([failures, failures, failures]);
  });

  it('that asks for less than it was told to is not believed', async () => {
    for (const batch of [1, 2, 3]) await committee.publish(headOf(batch));
    const real = createHttpTransport(committee.committee);
    const asking = (change: (body: object) => object): HeadWitnesses => {
      const transport: SignerTransport = async (party, method, path, body) =>
        await real(party, method, path, change(body as object));
      return createHeadWitnesses({
        committee: committee.committee,
        random,
        transport: Object.assign(transport, { close: real.close }),
      });
    };
    expect(statesOf(await asking((body) => body).read(3, '3'))).toEqual(['read', 'read', 'read']);
    for (const less of [{ count: 1 }, { upTo: '2' }])
      expect(statesOf(await asking((body) => ({ ...body, ...less })).read(3, '3'))).toEqual([
        failures,
        failures,
        failures,
      ]);
  });

  it('that gives one co-signer’s answer as another’s is not believed', async () => {
    await committee.publish(headOf(1));
    const answers: WitnessedHeads[] = [];
    const mixing = through((answer) => {
      answers.push(answer);
      return answers[0];
    });
    const states = statesOf(await mixing.read(10));
    expect(states.filter((state) => state === 'read')).toEqual(['read']);
  });
});

describe('co-signer processes', () => {
  it('record a head, keep it over kill -9, and show it in their decision log', async () => {
    const coSigners = await prepareCoSigners({
      folder: temporaryFolder(),
      shares: 'ceremony',
      ledgerPublicKey: key.publicKey,
    });
    const open = () => createHeadWitnesses({ committee: coSigners.committee, random });
    let witnesses = open();
    try {
      await coSigners.start(2);
      expect(statesOf(await witnesses.publish(headOf(3)))).toEqual([
        'failed CUSTODY_SIGNER_UNREACHABLE',
        'recorded',
        'failed CUSTODY_SIGNER_UNREACHABLE',
      ]);
      await coSigners.kill(2);
      witnesses.close();
      witnesses = open();
      await coSigners.start(2);
      expect((await witnesses.read(10))[1]).toMatchObject({ state: 'read', heads: [{ head: headOf(3) }] });
      expect((await witnesses.publish(headOf(3, 'f')))[1]).toMatchObject({
        state: 'refused',
        recorded: headOf(3),
      });
      const { url } = coSigners.committee.members[1] ?? { url: '' };
      const { records } = (await (await fetch(`${url}/v1/log`)).json()) as {
        records: { kind: string; body: object }[];
      };
      expect(records.filter(({ kind }) => kind.startsWith('ledger-head'))).toMatchObject([
        { kind: 'ledger-head', body: headOf(3) },
        { kind: 'ledger-head-refused', body: { reason: 'forked', stated: headOf(3, 'f') } },
      ]);
    } finally {
      witnesses.close();
      await coSigners.stopAll();
    }
  }, 60_000);
});

describe('an answer', () => {
  it('to a head names the one recorded before it', async () => {
    const [first, second] = [headOf(1), headOf(4, 'b')];
    expect(statesOf(await committee.publish(first))).toEqual(['recorded', 'recorded', 'recorded']);
    const answers = await committee.publish(second);
    expect(answers[0]).toMatchObject({ state: 'recorded', previous: first });
    // Asked again after a later one: still what came before this one.
    await committee.publish(headOf(6, 'c'));
    expect((await committee.publish(second))[0]).toMatchObject({ state: 'recorded', previous: first });
  });

  it('to a contradiction carries the recorded head, signed', async () => {
    await committee.publish(headOf(2));
    for (const contradiction of [headOf(2, 'f'), headOf(1, 'f')])
      expect((await committee.publish(contradiction))[2]).toMatchObject({
        party: 3,
        state: 'refused',
        code: 'CUSTODY_LEDGER_HEAD_CONFLICT',
        recorded: headOf(2),
      });
  });

  it('is bounded by what was asked for', async () => {
    for (const batch of [1, 2, 3]) await committee.publish(headOf(batch));
    const [answer] = await committee.read(2);
    expect(answer?.state === 'read' ? answer.heads.map(({ head }) => head) : []).toEqual([
      headOf(3),
      headOf(2),
    ]);
    const [older] = await committee.read(2, '2');
    expect(older?.state === 'read' ? older.heads.map(({ head }) => head) : []).toEqual([
      headOf(2),
      headOf(1),
    ]);
    expect(statesOf(await committee.read(101))).toEqual(
      Array.from({ length: 3 }, () => 'failed CUSTODY_REQUEST_INVALID'),
    );
  });
});
