/** The co-signer as witness of the ledger: what it records, what it refuses, and that nobody can speak for it. */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { canonicalJson, hashJson } from '#core/canonical-json';
import { protocolDomains, type SignedLedgerHead, signedBytes, witnessedHeadsSchema } from '#custody/protocol';
import { openIdentity, publicKeyOf, rawPublicKey, verifyWith } from '../../custody/signer/identity.ts';
import { ledgerHeadRoutes } from '../../custody/signer/ledger-heads.ts';
import { ledgerIdOf } from '../../ledger/heads.ts';
import { closeFixtures, type Fixture, openFixture } from './fixture.ts';

afterEach(closeFixtures);

const own = generateKeyPairSync('ed25519');
const other = generateKeyPairSync('ed25519');
const hexOf = (key: KeyObject): string => rawPublicKey(key).toString('hex');
const ledgerPublicKey = hexOf(own.publicKey);
const ledger = ledgerIdOf(ledgerPublicKey);
const hashOf = (digit: string): `sha256:${string}` => `sha256:${digit.repeat(64)}`;

type Statement = SignedLedgerHead['statement'];
function signed(fields: Partial<Statement> = {}, key: KeyObject = own.privateKey): SignedLedgerHead {
  const statement: Statement = {
    domain: protocolDomains.ledgerHead,
    ledger,
    batch: '7',
    lastSeq: '70',
    hash: hashOf('7'),
    recordedMs: 1_790_000_000_000,
    signedMs: 1_790_000_000_500,
    ...fields,
  };
  const signature = sign(null, Buffer.from(canonicalJson(statement), 'utf8'), key).toString('base64');
  return { statement, signature };
}

const opened = (): Fixture => openFixture({ config: { ledgerPublicKey } });
const records = ({ coSigner }: Fixture, kind: string) =>
  [...coSigner.decisionLog.records()].filter((record) => record.kind === kind);

describe('a head of the pinned ledger', () => {
  it('is recorded in the decision log, once, however often it comes', () => {
    const fixture = opened();
    const first = fixture.coSigner.ledgerHeads.record(signed());
    fixture.clock.advance(60_000);
    expect(fixture.coSigner.ledgerHeads.record(signed())).toEqual(first);
    // Signed again later: the same head.
    expect(fixture.coSigner.ledgerHeads.record(signed({ signedMs: 1_790_000_060_000 }))).toEqual(first);
    expect(records(fixture, 'ledger-head')).toEqual([
      expect.objectContaining({ seq: first.seq, at: first.at, body: signed() }),
    ]);
  });

  it('is followed by any later one, and an earlier one that was recorded stays known', () => {
    const { ledgerHeads } = opened().coSigner;
    const first = ledgerHeads.record(signed());
    const next = ledgerHeads.record(signed({ batch: '10', lastSeq: '73', hash: hashOf('a') }));
    expect(ledgerHeads.record(signed())).toEqual(first);
    expect(ledgerHeads.newest(5)).toEqual([next, first]);
    expect(ledgerHeads.newest(1)).toEqual([next]);
  });

  it('is ordered as a number, not as a text', () => {
    const { ledgerHeads } = opened().coSigner;
    for (const batch of ['9', '10', '100', '9223372036854775807'])
      ledgerHeads.record(signed({ batch, lastSeq: batch, hash: hashOf('b') }));
    expect(ledgerHeads.newest(9).map(({ head }) => head.statement.batch)).toEqual([
      '9223372036854775807',
      '100',
      '10',
      '9',
    ]);
  });

  it('survives a restart, and the log with it', async () => {
    const before = opened();
    const first = before.coSigner.ledgerHeads.record(signed());
    const after = await before.reopen();
    after.coSigner.decisionLog.verify();
    expect(after.coSigner.ledgerHeads.newest(9)).toEqual([first]);
    expect(() => after.coSigner.ledgerHeads.record(signed({ batch: '6', lastSeq: '60' }))).toThrow(
      expect.objectContaining({ code: 'CUSTODY_LEDGER_HEAD_CONFLICT' }),
    );
  });

  it('of another key begins anew once the operator has pinned that key', async () => {
    const before = opened();
    before.coSigner.ledgerHeads.record(signed());
    const publicKey = hexOf(other.publicKey);
    const after = await before.reopen({ ledgerPublicKey: publicKey });
    const restored = signed({ ledger: ledgerIdOf(publicKey), batch: '2', lastSeq: '2' }, other.privateKey);
    after.coSigner.ledgerHeads.record(restored);
    expect(after.coSigner.ledgerHeads.newest(9).map(({ head }) => head)).toEqual([restored]);
    expect(records(after, 'ledger-head')).toHaveLength(2);
  });
});

describe('a contradiction is refused with the recorded head as evidence, and logged whole', () => {
  it.each<[string, Partial<Statement>]>([
    ['forked', { hash: hashOf('f') }],
    ['forked', { lastSeq: '71' }],
    ['forked', { recordedMs: 1_790_000_000_001 }],
    ['batch-lower', { batch: '6', lastSeq: '69', hash: hashOf('6') }],
    ['seq-shrinks', { batch: '8', lastSeq: '69', hash: hashOf('8') }],
    ['seq-shrinks', { batch: '8', lastSeq: '70', hash: hashOf('8') }],
    // Two more batches need two more transfers.
    ['seq-shrinks', { batch: '9', lastSeq: '71', hash: hashOf('9') }],
  ])('%s: %o', (reason, change) => {
    const fixture = opened();
    const { ledgerHeads, decisionLog } = fixture.coSigner;
    const first = ledgerHeads.record(signed());
    const stated = signed(change);
    expect(() => ledgerHeads.record(stated)).toThrow(
      expect.objectContaining({
        code: 'CUSTODY_LEDGER_HEAD_CONFLICT',
        kind: 'conflict',
        details: expect.objectContaining({ reason, recorded: canonicalJson(signed()) }) as unknown,
      }),
    );
    expect(records(fixture, 'ledger-head-refused').map(({ body }) => body)).toEqual([
      { reason, stated, recordedBatch: '7', suppressed: 0 },
    ]);
    expect(ledgerHeads.newest(9)).toEqual([first]);
    decisionLog.verify();
  });

  it('also for a head below the newest', () => {
    const { ledgerHeads } = opened().coSigner;
    ledgerHeads.record(signed());
    ledgerHeads.record(signed({ batch: '8', lastSeq: '80', hash: hashOf('8') }));
    expect(() => ledgerHeads.record(signed({ hash: hashOf('f') }))).toThrow(
      expect.objectContaining({ details: expect.objectContaining({ reason: 'forked' }) as unknown }),
    );
  });
});

describe('a stranger is refused', () => {
  const flipped = (): SignedLedgerHead => {
    const { statement, signature } = signed();
    return { statement: { ...statement, lastSeq: '71' }, signature };
  };
  it.each<[string, () => unknown]>([
    ['signature-invalid', () => signed({}, other.privateKey)],
    ['signature-invalid', flipped],
    ['signature-invalid', () => ({ ...signed(), signature: `${'A'.repeat(86)}==` })],
    ['ledger-unknown', () => signed({ ledger: ledgerIdOf(hexOf(other.publicKey)) }, other.privateKey)],
    ['malformed', () => null],
    ['malformed', () => signed({ batch: '0' })],
    ['malformed', () => signed({ batch: '07' })],
    ['malformed', () => signed({ batch: '1'.repeat(20) })],
    ['malformed', () => signed({ hash: 'ab' })],
    ['malformed', () => signed({ recordedMs: -1 })],
    ['malformed', () => signed({ domain: 'strongroom/ledger-head/v2' as Statement['domain'] })],
    ['malformed', () => ({ ...signed(), more: 1 })],
    ['malformed', () => ({ ...signed(), signature: 'AAAA' })],
  ])('%s %#', (reason, make) => {
    const fixture = opened();
    expect(() => fixture.coSigner.ledgerHeads.record(make())).toThrow(
      expect.objectContaining({ code: 'CUSTODY_LEDGER_HEAD_REFUSED', details: { reason } }),
    );
    expect(records(fixture, 'ledger-head-refused').map(({ body }) => body)).toEqual([
      { reason, suppressed: 0 },
    ]);
    expect(fixture.coSigner.ledgerHeads.newest(9)).toEqual([]);
  });

  it('where no ledger is pinned', () => {
    const fixture = openFixture();
    expect(() => fixture.coSigner.ledgerHeads.record(signed())).toThrow(
      expect.objectContaining({ details: { reason: 'no-ledger-pinned' } }),
    );
    expect(fixture.coSigner.ledgerHeads.newest(9)).toEqual([]);
  });
});

describe('what others can make a co-signer write', () => {
  const perHour = 120;

  it('is 120 heads an hour; the next hour takes more', () => {
    const fixture = opened();
    const { ledgerHeads } = fixture.coSigner;
    const nth = (n: number) => signed({ batch: String(n), lastSeq: String(n), hash: hashOf('c') });
    for (let n = 1; n <= perHour; n++) ledgerHeads.record(nth(n));
    expect(() => ledgerHeads.record(nth(perHour + 1))).toThrow(
      expect.objectContaining({ code: 'CUSTODY_LEDGER_HEADS_LIMITED', retryable: true }),
    );
    // What is known and what contradicts is still answered.
    expect(ledgerHeads.record(nth(perHour)).head).toEqual(nth(perHour));
    expect(() => ledgerHeads.record(signed({ batch: '5', lastSeq: '6' }))).toThrow(
      expect.objectContaining({ code: 'CUSTODY_LEDGER_HEAD_CONFLICT' }),
    );
    fixture.clock.advance(3_600_000);
    expect(ledgerHeads.record(nth(perHour + 1)).head).toEqual(nth(perHour + 1));
    expect(records(fixture, 'ledger-head')).toHaveLength(perHour + 1);
  });

  it('is 120 refusals of strangers an hour, which leave room for a contradiction', () => {
    const fixture = opened();
    const { ledgerHeads } = fixture.coSigner;
    ledgerHeads.record(signed());
    for (let n = 0; n < perHour + 30; n++) expect(() => ledgerHeads.record({ n })).toThrow(/form/);
    expect(() => ledgerHeads.record(signed({ hash: hashOf('f') }))).toThrow(/forked/);
    expect(records(fixture, 'ledger-head-refused')).toHaveLength(perHour + 1);
    fixture.clock.advance(3_600_000);
    expect(() => ledgerHeads.record({})).toThrow(/form/);
    expect(records(fixture, 'ledger-head-refused').at(-1)?.body).toEqual({
      reason: 'malformed',
      suppressed: 30,
    });
  });
});

describe('the routes', () => {
  const challenge = 'c1'.repeat(32);
  function routesOf(fixture: Fixture) {
    const { coSigner, dataDir } = fixture;
    const identity = openIdentity({
      file: join(dataDir, 'identity.json'),
      party: 1,
      sealer: coSigner.sealer,
    });
    return { routes: ledgerHeadRoutes(coSigner.ledgerHeads, identity), identity };
  }

  it('answer with what was recorded, signed by the co-signer for this question', () => {
    const fixture = opened();
    const { routes, identity } = routesOf(fixture);
    const recorded = routes['/v1/ledger-heads/record']({ challenge, head: signed() });
    const question = { challenge, count: 5 };
    const read = routes['/v1/ledger-heads/read'](question);
    const { signature, ...fields } = witnessedHeadsSchema.parse(read);
    expect(fields).toEqual({
      party: 1,
      question: hashJson(question),
      heads: fixture.coSigner.ledgerHeads.newest(1),
    });
    expect(recorded.heads).toEqual(fields.heads);
    expect(recorded.question).toBe(hashJson({ challenge, head: signed() }));
    const key = publicKeyOf('ed25519', Buffer.from(identity.signingKey, 'hex'));
    const verifies = (changed: object) =>
      verifyWith(key, signedBytes(protocolDomains.witnessedHeads, { ...fields, ...changed }), signature);
    expect(verifies({})).toBe(true);
    expect(verifies({ question: hashJson({ ...question, count: 4 }) })).toBe(false);
    expect(verifies({ heads: [] })).toBe(false);
    expect(verifies({ party: 2 })).toBe(false);
  });

  it('give the heads of a batch and below, as often as it is asked', () => {
    const fixture = opened();
    const { routes } = routesOf(fixture);
    for (const batch of ['7', '9', '12'])
      fixture.coSigner.ledgerHeads.record(signed({ batch, lastSeq: `${batch}0`, hash: hashOf('a') }));
    const batchesUpTo = (upTo: string, count = 5) =>
      routes['/v1/ledger-heads/read']({ challenge, count, upTo }).heads.map(
        ({ head }) => head.statement.batch,
      );
    expect(batchesUpTo('12')).toEqual(['12', '9', '7']);
    expect(batchesUpTo('11')).toEqual(['9', '7']);
    expect(batchesUpTo('11', 1)).toEqual(['9']);
    expect(batchesUpTo('6')).toEqual([]);
  });

  it.each([
    { challenge: 'c1', count: 1 },
    { challenge, count: 0 },
    { challenge, count: 101 },
    { count: 1 },
    { challenge, count: 1, more: 1 },
    { challenge, count: 1, upTo: '0' },
    { challenge, count: 1, upTo: 7 },
  ])('refuse a malformed question %#', (body) => {
    const { routes } = routesOf(opened());
    expect(() => routes['/v1/ledger-heads/read'](body)).toThrow(
      expect.objectContaining({ name: 'ZodError' }),
    );
  });
});
