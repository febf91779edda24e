/** Makes mpc-shares.json anew: `npx tsx test/support/make-mpc-shares.ts`. Needed when the share encoding changes. */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createDkls23Engine } from '#mpc';
import { drive } from './mpc-drive.ts';

const engine = await createDkls23Engine({ threads: 3, acceptUnaudited: false, dev: true });
const committee = { threshold: 2, parties: 3 };
const sessionId = randomBytes(32);
const results = await drive(
  await Promise.all(
    [1, 2, 3].map(async (party) => [party, await engine.newDkg({ committee, party, sessionId })] as const),
  ),
);
await engine.close();
const [first] = results;
if (first === undefined) throw new Error('no result');
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const fixture = {
  warning: 'DEVELOPMENT ONLY: all shares of one key are public here. Never send funds to it.',
  threshold: committee.threshold,
  parties: committee.parties,
  publicKey: hex(first.publicKey),
  chainCode: hex(first.chainCode),
  shares: results.map(({ share }) => Buffer.from(share).toString('base64')),
};
const file = new URL('./mpc-shares.json', import.meta.url);
writeFileSync(file, `${JSON.stringify(fixture, null, 2)}\n`);
