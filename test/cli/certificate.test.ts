/**
 * The certificate in payout-certificate.json was made by a real run: 2 ether after two passkey approvals, on the
 * development chain. Every value in it is changed once; each change must be named as false.
 */
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addressOfCompressedKey } from '#chains';
import { parseId } from '#core/ids';
import { committeeSchema } from '#custody/protocol';
import { transferIdOf } from '#ledger/contract';
import { certificateSchema } from '../../cli/certificate/document.ts';
import { type CertificateCheck, verifyCertificate, verifyInclusion } from '../../cli/certificate/verify.ts';

type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

const readJson = (name: string): Json =>
  JSON.parse(readFileSync(new URL(name, import.meta.url), 'utf8')) as Json;
const genuine = readJson('payout-certificate.json');
const committee = committeeSchema.parse(readJson('committee.json'));

/** What the node of that run answered for the transaction. */
const receipt = {
  status: '0x1',
  blockHash: '0x1352d435e566b19cd1ba94ae4d1062870efd138fefe7928414dde4867806f7f4',
  blockNumber: '0xb6',
  gasUsed: '0x5208',
  effectiveGasPrice: '0x5f5e107',
};
let server: Server;
let nodeUrl = '';
let answer: unknown;
beforeAll(async () => {
  server = createServer((_request, response) => {
    response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  nodeUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  answer = { jsonrpc: '2.0', id: 1, result: receipt };
});
afterAll(() => {
  server.close();
});

async function checksOf(document: Json): Promise<readonly CertificateCheck[]> {
  const certificate = certificateSchema.parse(document);
  return [
    ...verifyCertificate(certificate, { addressOfPublicKey: addressOfCompressedKey, committee }),
    await verifyInclusion(certificate, nodeUrl),
  ];
}

/** Refused by the form, or at least one check says false. */
async function isNoticed(document: Json): Promise<boolean> {
  const form = certificateSchema.safeParse(document);
  if (!form.success) return true;
  const offline = verifyCertificate(form.data, { addressOfPublicKey: addressOfCompressedKey, committee });
  const found = offline.some((check) => check.verdict === 'false');
  return found || (await verifyInclusion(form.data, nodeUrl)).verdict === 'false';
}

type Place = readonly (string | number)[];
function leaves(value: Json, at: Place = []): Place[] {
  if (value === null || typeof value !== 'object') return [at];
  const entries: [string | number, Json][] = Array.isArray(value)
    ? value.map((each, index) => [index, each])
    : Object.entries(value);
  return entries.flatMap(([key, each]) => leaves(each, [...at, key]));
}

function changed(value: Json, place: Place): Json {
  const [key, ...rest] = place;
  if (key !== undefined && value !== null && typeof value === 'object') {
    const copy = structuredClone(value) as { [key: string]: Json };
    copy[key] = changed(copy[key] ?? null, rest);
    return copy;
  }
  if (typeof value === 'number') return value + 1;
  if (typeof value === 'boolean') return !value;
  const text = String(value);
  // In the middle: the last characters of base64url can hold bits that mean nothing.
  const at = Math.floor(text.length / 2);
  const other = text[at] === '1' ? '2' : '1';
  return `${text.slice(0, at)}${other}${text.slice(at + 1)}`;
}

describe('a payout certificate', () => {
  test('holds as it was made', async () => {
    const verdicts = (await checksOf(genuine)).map((check) => [check.name, check.verdict, check.detail]);
    expect(verdicts.filter(([, verdict]) => verdict !== 'proven')).toEqual([]);
    expect(verdicts).toHaveLength(11);
  });

  test('holds when its first nonce was given back, and the fee with it', () => {
    const certificate = certificateSchema.parse(genuine);
    const ofFee = certificate.journal.filter((leg) => leg.code === 'network-fee');
    const [reserved, posted] = ofFee;
    if (reserved === undefined || posted === undefined) throw new Error('the fee has two entries');
    const feeOwner = parseId('wd', certificate.withdrawalId);
    const journal = [
      ...certificate.journal.filter((leg) => leg !== posted),
      { ...reserved, id: transferIdOf(feeOwner, 'fee-resolved'), kind: 'void-pending' as const },
      { ...reserved, id: transferIdOf(feeOwner, '1/fee') },
      { ...posted, id: transferIdOf(feeOwner, '1/fee-resolved') },
    ];
    const verdict = (legs: typeof journal) =>
      verifyCertificate(
        { ...certificate, journal: legs },
        { addressOfPublicKey: addressOfCompressedKey },
      ).find((check) => check.name === 'journal');
    expect(verdict(journal)).toMatchObject({ verdict: 'proven' });
    expect(verdict(journal.filter((leg) => leg.kind !== 'void-pending'))).toMatchObject({ verdict: 'false' });
  });

  test('leaves what cannot be proven offline as a claim', async () => {
    const certificate = certificateSchema.parse(genuine);
    const offline = verifyCertificate(certificate, { addressOfPublicKey: addressOfCompressedKey });
    expect(offline.filter((check) => check.verdict === 'claim').map((check) => check.name)).toEqual([
      'key-statements',
    ]);
    expect((await verifyInclusion(certificate, undefined)).verdict).toBe('claim');
  });

  test('does not hold with any single value changed', async () => {
    // One hash covers a whole document, so a few values of each are enough.
    const few = (document: 'policy' | 'roster') =>
      leaves((genuine as { [key: string]: Json })[document] ?? null, [document]).slice(0, 4);
    const others = leaves(genuine).filter(([top]) => top !== 'policy' && top !== 'roster');
    const places = [...others, ...few('policy'), ...few('roster')];
    expect(places.length).toBeGreaterThan(100);
    const unnoticed: string[] = [];
    for (const place of places)
      if (!(await isNoticed(changed(genuine, place)))) unnoticed.push(place.join('.'));
    expect(unnoticed).toEqual([]);
  }, 60_000);

  test('does not hold with an entry of a list left out or added', async () => {
    const document = genuine as { [key: string]: Json[] };
    for (const list of ['approvals', 'journal', 'keyStatements'] as const) {
      const entries = document[list] ?? [];
      expect(await isNoticed({ ...document, [list]: entries.slice(1) }), `${list} shortened`).toBe(true);
      expect(
        await isNoticed({ ...document, [list]: [...entries, ...entries.slice(0, 1)] }),
        `${list} longer`,
      ).toBe(true);
    }
  });

  test.each([
    ['does not know it', { jsonrpc: '2.0', id: 1, result: null }],
    ['reports an error', { jsonrpc: '2.0', id: 1, error: { code: -32000, message: 'busy' } }],
    ['says it was reverted', { jsonrpc: '2.0', id: 1, result: { ...receipt, status: '0x0' } }],
    ['has it in another block', { jsonrpc: '2.0', id: 1, result: { ...receipt, blockHash: '0x00' } }],
  ])('is not on chain when the node %s', async (_name, said) => {
    const before = answer;
    answer = said;
    const inclusion = await verifyInclusion(certificateSchema.parse(genuine), nodeUrl);
    answer = before;
    expect(inclusion.verdict).toBe('false');
    expect(inclusion.detail).not.toMatch(/undefined|null/);
  });
});
