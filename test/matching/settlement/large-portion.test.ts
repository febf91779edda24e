/** A portion of several batches of the ledger: more than 5,000 transfers, each of them checked. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { derivedId } from '#core/ids';
import { type AssetId, amount } from '#core/money';
import { openPool, type Pool } from '#infra/db';
import { readEventsOfCodes } from '#ledger';
import { customerMain, customerSpot, houseSuspense, openingBalance, spotIn } from '#ledger/contract';
import { parseEngineConfig } from '../../../matching/config.ts';
import { reconcile, verifySettlement } from '../../../matching/settlement/index.ts';
import { databaseForThisFile } from '../../support/database.ts';
import { config, gold, openExchange, usd } from './fixture.ts';

let pool: Pool;
beforeAll(async () => {
  pool = openPool({ connectionString: await databaseForThisFile(), applicationName: 'test-large-portion' });
});
afterAll(async () => {
  await pool.end();
});

const order = { kind: 'place', market: 1, type: 'limit', timeInForce: 'gtc', price: 100 } as const;

test('a portion of thousands of transfers, in several batches of the ledger, is booked to the unit', {
  timeout: 60_000,
}, async () => {
  const traders = 2_600;
  // The house is number 0; one is the customer that every exchange of the tests begins with.
  const manyConfig = parseEngineConfig({ ...config, accountsMax: traders + 2, ordersMax: 2 * traders });
  const exchange = await openExchange(pool, 'many', 1, manyConfig);
  const { ledger, engine, sequencer, accounts, feed } = exchange;
  const ofTrader = (at: number) => derivedId('acc', `many ${at}`);
  const [units, lots] = [10n ** 9n, 3];
  const [lotsBefore, totalBefore] = [sequencer.lots.length, (await ledger.totals(usd)).customers];
  for (let at = 0; at < traders; at += 500) {
    const some = Array.from({ length: Math.min(500, traders - at) }, (_, n) => at + n);
    const moved = (n: number) => amount(n % 2 === 0 ? gold : usd, units);
    await ledger.openAccounts(
      pool,
      some.flatMap((n) =>
        [customerMain(ofTrader(n)), customerSpot(ofTrader(n))].map((path) => ({
          path,
          asset: moved(n).asset,
        })),
      ),
    );
    await ledger.apply(
      some.flatMap((n) => {
        const account = customerMain(ofTrader(n));
        const fund = { reference: `many/${n}`, account, against: houseSuspense, amount: moved(n) };
        return [
          ...openingBalance(fund),
          ...spotIn({ reference: `many/in/${n}`, accountId: ofTrader(n), amount: moved(n) }),
        ];
      }),
    );
  }
  while ((await feed.step()) > 0);
  // Opened and credited.
  expect(sequencer.lots.length - lotsBefore).toBe(2 * traders);
  // Each once, so that each has two legs: 1,300 trades of 5,200 legs, and one of all fees.
  for (let at = 0; at < traders; at += 2)
    for (const [n, side] of [
      [at, 'sell'],
      [at + 1, 'buy'],
    ] as const)
      sequencer.run({ ...order, account: await accounts.numberOf(ofTrader(n)), side, lots });
  const booked: unknown[] = [];
  const settler = await exchange.settler({ onBooked: (portion) => booked.push(portion) });
  for (const { slots, count } of sequencer.lots) settler.offer(slots, 0, count);
  await settler.drain(sequencer.engine.seq);
  expect(booked).toEqual([{ portion: 1n, trades: traders / 2, transfers: 2 * traders + 1 }]);
  // Of the market: a lot is 1,000 gold and costs 3 units of the engine a tick, each 100 of the ledger; the buyer pays 777 ppm of the gold.
  const gave = { gold: 3_000n, usd: 3n * 3n * 100n * 100n };
  const fee = (gave.gold * 777n + 999_999n) / 1_000_000n;
  const spot = new Map(
    (await ledger.balances({ pathPrefix: 'customer:' })).map(({ path, asset, balance }) => [
      `${path} ${asset}`,
      balance,
    ]),
  );
  for (let n = 0; n < traders; n++) {
    const of = (asset: AssetId) => spot.get(`${customerSpot(ofTrader(n))} ${asset}`);
    expect([of(gold), of(usd)], `trader ${n}`).toEqual(
      n % 2 === 0 ? [units - gave.gold, gave.usd] : [gave.gold - fee, units - gave.usd],
    );
  }
  expect((await ledger.totals(usd)).customers - totalBefore).toBe(BigInt(traders / 2) * units);
  const { differences } = await reconcile({ pool, engine, ledger, readEventsOfCodes }, sequencer.engine);
  expect(differences).toEqual([]);
  expect(await verifySettlement(pool, engine)).toEqual([]);
  expect(await ledger.verify()).toEqual({ ok: true, problems: [] });
});
