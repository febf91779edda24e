/** Random order flow through a real engine into real books: the same to the last base unit, whatever happens on the way. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { amount } from '#core/money';
import { openPool, type Pool } from '#infra/db';
import { readEventsOfCodes } from '#ledger';
import { customerSpot, houseClearing, spotOut } from '#ledger/contract';
import { reconcile, verifySettlement } from '../../../matching/settlement/index.ts';
import { databaseForThisFile } from '../../support/database.ts';
import { config, customer, type Exchange, openExchange, randomCommand, seeded, usd } from './fixture.ts';

const customers = 8;
let url: string;
beforeAll(async () => {
  url = await databaseForThisFile();
});
let pool: Pool;
beforeAll(() => {
  pool = openPool({ connectionString: url, applicationName: 'test-settlement' });
});
afterAll(async () => {
  await pool.end();
});

async function expectEqualBooks(exchange: Exchange): Promise<void> {
  const { engine, ledger, sequencer } = exchange;
  const { differences, compared } = await reconcile(
    { pool, engine, ledger, readEventsOfCodes },
    sequencer.engine,
  );
  expect(differences).toEqual([]);
  expect(compared).toBeGreaterThanOrEqual(customers * config.assets.length);
  expect(await verifySettlement(pool, engine)).toEqual([]);
  expect(await ledger.verify()).toEqual({ ok: true, problems: [] });
  for (const { balance } of await ledger.balances({ paths: [houseClearing] })) expect(balance).toBe(0n);
}

describe('one exchange', () => {
  let exchange: Exchange;
  const random = seeded(20);
  beforeAll(async () => {
    exchange = await openExchange(pool, 'main', customers);
  });

  test('portions of any size, settlers that end between them, events fed again and again: booked once', {
    timeout: 60_000,
  }, async () => {
    const { sequencer, feed, moveIn } = exchange;
    for (let round = 0; round < 12; round++) {
      for (let n = 0; n < 150; n++) sequencer.run(randomCommand(random, customers, sequencer.journal.length));
      if (round % 3 === 0) {
        await moveIn(`in/${round}`, 1 + random(customers), usd, 100n * BigInt(1 + random(1_000)));
        await feed.step();
      }
      const settler = await exchange.settler({ tradesMax: 1 + random(40), transfersMax: 4 + random(200) });
      // From the beginning, from a while ago, or twice.
      const lots = round % 2 === 0 ? sequencer.lots : sequencer.replay();
      for (const { slots, count } of lots) {
        // The events of one command may come in several calls.
        const cut = random(count + 1);
        settler.offer(slots, 0, cut);
        settler.offer(slots, cut, count - cut);
      }
      for (const { slots, count } of lots.slice(random(lots.length))) settler.offer(slots, 0, count);
      if (random(3) === 0) await settler.stop();
      else await settler.drain(sequencer.engine.seq);
    }
    const settler = await exchange.settler();
    for (const { slots, count } of sequencer.lots) settler.offer(slots, 0, count);
    await settler.drain(sequencer.engine.seq);
    expect(settler.head.seq).toBe(sequencer.journal.length);
    expect(settler.head.trades).toBeGreaterThan(500n);
    await expectEqualBooks(exchange);
    const { rows } = await pool.query('SELECT count(*) AS trades, max(number) AS newest FROM matching.trade');
    const count = settler.head.trades.toString();
    expect(rows).toEqual([{ trades: count, newest: count }]);
  });

  test('two settlers of one engine book each event once', async () => {
    const { sequencer } = exchange;
    for (let n = 0; n < 300; n++) sequencer.run(randomCommand(random, customers, sequencer.journal.length));
    const settlers = await Promise.all([
      exchange.settler({ tradesMax: 7 }),
      exchange.settler({ tradesMax: 5 }),
    ]);
    for (const settler of settlers)
      for (const { slots, count } of sequencer.lots) settler.offer(slots, 0, count);
    await Promise.all(settlers.map(async (settler) => await settler.drain(sequencer.engine.seq)));
    await expectEqualBooks(exchange);
  });

  test('a line of the ledger is explained by the trades its reference names', async () => {
    const { rows } = await pool.query<{ reference: string; path: string; asset: string; units: string }>(
      `SELECT t.reference, a.path, a.asset, CASE WHEN a.id = t.credit_account THEN t.amount ELSE -t.amount END AS units
         FROM ledger.transfer AS t JOIN ledger.account AS a ON a.id IN (t.debit_account, t.credit_account)
        WHERE t.code = 'trade' AND a.path = $1 ORDER BY t.seq LIMIT 20`,
      [customerSpot(customer(1))],
    );
    expect(rows.length).toBeGreaterThan(5);
    for (const { reference, asset, units } of rows) {
      const [, portion = ''] = /\/p(\d+)\//.exec(reference) ?? [];
      const legs = await pool.query<{ units: string }>(
        `SELECT sum(l.units) AS units FROM matching.portion AS p
           JOIN matching.trade_leg AS l ON l.engine = p.engine AND l.number BETWEEN p.first_trade AND p.last_trade
           JOIN matching.asset AS s ON s.engine = p.engine AND s.no = l.asset AND s.id = $2
          WHERE p.no = $1 AND l.account = 1`,
        [portion, asset],
      );
      expect(legs.rows[0]?.units).toBe(units);
    }
  });

  test('reconciliation names what differs, and does not compare different moments', async () => {
    const { engine, ledger, sequencer } = exchange;
    await ledger.apply(spotOut({ reference: 'behind', accountId: customer(2), amount: amount(usd, 300n) }));
    const options = { pool, engine, ledger, readEventsOfCodes };
    const { differences } = await reconcile(options, sequencer.engine);
    expect(differences).toMatchObject([{ check: 'spot', account: customerSpot(customer(2)), asset: usd }]);
    expect((differences[0]?.engine ?? 0n) - (differences[0]?.ledger ?? 0n)).toBe(300n);
    const later = { ...sequencer.engine, seq: sequencer.engine.seq + 1 };
    await expect(reconcile(options, later)).rejects.toMatchObject({ code: 'MATCHING_RECONCILE_ELSEWHERE' });
  });
});
