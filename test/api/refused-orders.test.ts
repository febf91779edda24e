/** What a new user gets wrong: each answer names the field, what was sent, and what would do. On a real engine. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPool, type Pool } from '#infra/db';
import { createTrading, type Trading } from '#matching/trading';
import { coin, usd } from '../matching/settlement/fixture.ts';
import { alice, bob, type Desk, decimalsOf, openDesk, stranger } from '../matching/trading/desk.ts';
import { databaseForThisFile } from '../support/database.ts';
import { type Gateway, openGateway } from './trading-gateway.ts';

let pool: Pool;
let desk: Desk;
let trading: Trading;
let gateway: Gateway;
beforeAll(async () => {
  const databaseUrl = await databaseForThisFile();
  pool = openPool({ connectionString: databaseUrl, applicationName: 'test-refused' });
  desk = await openDesk(pool, 'refused');
  trading = createTrading({
    pool,
    ledger: desk.exchange.ledger,
    link: desk.link,
    clock: { nowMs: () => Date.now() },
    decimalsOf,
  });
  await trading.ready();
  gateway = await openGateway({ databaseUrl, trading });
  await gateway.as('trading', { method: 'POST', url: '/v1/orders', body: { ...limit, clientOrderId: '7' } });
});
afterAll(async () => {
  await gateway.close();
  await trading.close();
  await desk.settler.stop();
  await pool.end();
});
const limit = {
  accountId: alice,
  market: 'ETH-USD',
  side: 'sell',
  type: 'limit',
  price: '2000',
  size: '0.01',
};
const transferUrl = `/v1/spot-transfers/spt_${alice.slice('acc_'.length)}`;
const transfer = { accountId: alice, asset: usd, units: '1', direction: 'to-spot' };
const rejected = 'TRADING_ORDER_REJECTED';

type Ask = readonly [method: string, url: string, body: object];
const place = (changes: object): Ask => ['POST', '/v1/orders', { ...limit, ...changes }];
const amend = (changes: object): Ask => [
  'PATCH',
  '/v1/orders',
  { accountId: alice, clientOrderId: '7', ...changes },
];
const move = (changes: object): Ask => ['PUT', transferUrl, { ...transfer, ...changes }];
const band = (low: string, high: string): Ask => ['PUT', '/v1/markets/ETH-USD/band', { low, high }];

/** What is asked, the code, what the detail says, and the fields it names. */
const mistakes: readonly (readonly [Ask, string, string, (readonly string[])?])[] = [
  [
    place({ postOnly: true, timeInForce: 'ioc' }),
    rejected,
    'A `postOnly` order rests in the book, and `timeInForce: ioc` never does.',
    ['postOnly', 'timeInForce'],
  ],
  [
    place({ displaySize: '0.001', timeInForce: 'fok' }),
    rejected,
    'An order with `displaySize` rests in the book, and `timeInForce: fok` never does.',
    ['displaySize', 'timeInForce'],
  ],
  [place({ price: undefined }), rejected, 'A limit order needs `price`.', ['type', 'price']],
  [
    place({ triggerPrice: '1900' }),
    rejected,
    'A limit order has no `triggerPrice`.',
    ['type', 'triggerPrice'],
  ],
  [place({ budget: '5' }), rejected, 'A limit order to sell has no `budget`.', ['type', 'side', 'budget']],
  [place({ type: 'market' }), rejected, 'A market order has no `price`.', ['type', 'price']],
  [
    place({ type: 'market', price: undefined, timeInForce: 'gtc' }),
    rejected,
    'A market order is `timeInForce: ioc`, not gtc.',
    ['type', 'timeInForce'],
  ],
  [
    place({ type: 'market', side: 'buy', price: undefined }),
    rejected,
    'A market order to buy needs `budget`, what it may spend.',
    ['type', 'budget'],
  ],
  [
    place({ type: 'stop', price: undefined }),
    rejected,
    'A stop order needs `triggerPrice`.',
    ['type', 'triggerPrice'],
  ],
  [
    place({ type: 'stop-limit', triggerPrice: '1900', postOnly: true, displaySize: '0.001' }),
    rejected,
    'A stop-limit order cannot be `postOnly`; a stop-limit order has no `displaySize`.',
    ['type', 'postOnly', 'displaySize'],
  ],
  [place({ size: undefined }), rejected, '`size` is missing.', ['size']],
  [place({ size: '0.0001' }), rejected, '`size` 0.0001 is not within 0.0010 to 100.0000.', ['size']],
  [
    place({ displaySize: '0.02' }),
    rejected,
    '`displaySize` 0.02 is not below `size` 0.01, or less than a hundredth of it.',
    ['displaySize', 'size'],
  ],
  [place({ size: '40' }), rejected, `0.990000000 of ${coin} is available.`, ['size']],
  [place({ accountId: stranger }), rejected, 'move some from main to spot', ['accountId']],
  [place({ price: '6000' }), rejected, '`price` 6000 is not within 10.00 to 5000.00.', ['price']],
  [place({ price: '9'.repeat(79) }), rejected, 'is above the most there is here, 5000.00.', ['price']],
  [
    place({ type: 'stop-limit', triggerPrice: '6000' }),
    rejected,
    '`triggerPrice` 6000 is not within 10.00 to 5000.00.',
    ['triggerPrice'],
  ],
  [
    place({ price: '2000.005' }),
    'TRADING_PRICE_OFF_TICK',
    '`price` 2000.005 is not a multiple of 0.01, the tick; nearest: 2000.00 and 2000.01',
  ],
  [place({ price: '0.001' }), 'TRADING_PRICE_OFF_TICK', 'nearest: 0.01'],
  [
    place({ type: 'stop-limit', triggerPrice: '1900.001' }),
    'TRADING_PRICE_OFF_TICK',
    '`triggerPrice` 1900.001 is not a multiple of 0.01, the tick; nearest: 1900.00 and 1900.01',
  ],
  [
    place({ size: '0.01005' }),
    'TRADING_SIZE_OFF_LOT',
    '`size` 0.01005 is not a multiple of 0.0001, the lot; nearest: 0.0100 and 0.0101',
  ],
  [
    place({ displaySize: '0.00001' }),
    'TRADING_SIZE_OFF_LOT',
    '`displaySize` 0.00001 is not a multiple of 0.0001, the lot; nearest: 0.0001',
  ],
  [place({ price: '2e3' }), 'TRADING_NUMBER_INVALID', '`price` "2e3" is not a decimal number above zero'],
  [place({ side: 'SELL' }), 'API_REQUEST_INVALID', 'body.side: Invalid option: expected one of "buy"|"sell"'],
  [place({ market: 'eth-usd' }), 'API_REQUEST_INVALID', 'body.market: a market as GET /v1/markets lists it'],
  [place({ accountId: 'me' }), 'API_REQUEST_INVALID', 'body.accountId: acc_<uuid>'],
  [place({ clientOrderId: 'abc' }), 'API_REQUEST_INVALID', 'body.clientOrderId: a whole number in digits'],
  [place({ qty: '40' }), 'API_REQUEST_INVALID', 'Unrecognized key: "qty"'],
  [amend({}), rejected, 'Give `price`, `size` or both.', ['price', 'size']],
  [
    amend({ price: '2000', size: '0.01' }),
    rejected,
    'It has this `price` and `size` already.',
    ['price', 'size'],
  ],
  [amend({ price: '6000' }), rejected, '`price` 6000 is not within 10.00 to 5000.00.', ['price']],
  [amend({ size: '0.0001' }), rejected, '`size` 0.0001 is not within 0.0010 to 100.0000.', ['size']],
  [
    move({ units: '9'.repeat(78) }),
    'TRADING_AMOUNT_TOO_LARGE',
    '`units` is too large, a number of 78 digits: at most 4611686018427387903 base units of ledger:usd',
  ],
  [
    move({ units: '9'.repeat(90), direction: 'to-main' }),
    'TRADING_AMOUNT_TOO_LARGE',
    'at most 4611686018427387903 base units',
  ],
  [
    move({ units: '4611686018427387904' }),
    'TRADING_AMOUNT_TOO_LARGE',
    'at most 4611686018427387903 base units',
  ],
  [move({ units: '9'.repeat(201) }), 'API_REQUEST_INVALID', 'body.units: the amount is too large'],
  [move({ units: '1.5' }), 'API_REQUEST_INVALID', 'body.units: a whole number of base units above zero'],
  [band('3000', '2000'), rejected, '`low` 3000.00 is above `high` 2000.00.', ['low', 'high']],
  [
    band('1', '2000'),
    rejected,
    'The band 1.00 to 2000.00 is not within the prices of the market, 10.00 to 5000.00.',
    ['low'],
  ],
  [band('2000.001', '3000'), 'TRADING_PRICE_OFF_TICK', '`low` 2000.001 is not a multiple of 0.01'],
  [band('2000', 'x'), 'TRADING_NUMBER_INVALID', '`high` "x" is not a decimal number'],
];
const cases = mistakes.map(([ask, code, says, fields]) => ({ ask, code, says, fields }));
test.each(cases)('$ask is $code: $says', async ({ ask: [method, url, body], code, says, fields }) => {
  const role = url.endsWith('/band') ? 'treasury' : 'trading';
  const { status, json } = await gateway.as(role, { method, url, body });
  expect([status, json['code']]).toEqual([code === rejected ? 409 : 400, code]);
  expect(json['detail']).toContain(says);
  expect(json['whatToDo']).toEqual(expect.any(String));
  if (fields !== undefined) expect(json['details']).toMatchObject({ fields });
});

test('what the book and the market say at the moment is named too', async () => {
  await gateway.as('treasury', { ...asked(band('1900', '2100')) });
  const outside = await gateway.as('trading', asked(place({ price: '2100.01' })));
  expect(outside.json['detail']).toContain('`price` 2100.01 is not within 1900.00 to 2100.00.');
  await gateway.as(
    'trading',
    asked(place({ accountId: bob, side: 'buy', size: '0.001', clientOrderId: '1' })),
  );
  const reached = await gateway.as('trading', asked(place({ type: 'stop-limit', triggerPrice: '2000' })));
  expect(reached.json['detail']).toContain(
    'The last price is 2000.00: `triggerPrice` 2000 of an order to sell must be below it.',
  );
  await trading.setMarketState('ETH-USD', 'halted');
  const halted = await gateway.as('trading', asked(place({})));
  expect(halted.json['detail']).toContain('ETH-USD is halted.');
});
const asked = ([method, url, body]: Ask) => ({ method, url, body });
