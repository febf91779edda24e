/** A co-signer that commits payments until it is killed and says after each commit that it is durable. */
import { writeSync } from 'node:fs';
import { asset, commit, openFixture } from './fixture.ts';

const fixture = openFixture();
writeSync(1, `${JSON.stringify({ dataDir: fixture.dataDir })}\n`);
for (let nonce = 0n; ; nonce++) {
  const payment = fixture.payment({
    id: `kill ${nonce.toString()}`,
    nonce,
    units: 1n,
    intent: { feeCap: { asset: asset, units: '1000' } },
    transaction: { maxFee: 0n, priorityFee: 0n },
  });
  const outcome = await fixture.check(payment);
  if (!outcome.ok) throw new Error(outcome.refusal.message);
  const committed = await commit(fixture.coSigner, outcome.authorisation);
  if (!committed.ok) throw new Error(committed.refusal.message);
  writeSync(1, `${JSON.stringify({ intentId: payment.intent.id })}\n`);
}
