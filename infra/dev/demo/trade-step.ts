/**
 * The exchange: one customer sells deposited ether to another, who pays in dollars that live on our books only. Both trade with
 * keys of their own through the typed client; the trades are settled into the ledger, and the buyer takes the ether off the
 * exchange.
 */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { isStrongroomError } from '#core/errors';
import { assetId } from '#core/money';
import type { FillView, NewOrder, SpotTransfer } from '#matching/trading/contract';
import { createTradingClient, type TradingClient } from '../../../api/client/index.ts';
import { bookCorrection } from './approvals.ts';
import { until } from './chain-client.ts';
import {
  assertThat,
  asset,
  balance,
  type DemoContext,
  ether,
  freshAddress,
  makeId,
  requestWithdrawal,
  waitForWithdrawal,
} from './context.ts';
import type { Step } from './story.ts';
import { assertPaidOnce } from './withdrawal-steps.ts';

export const dollars = assetId('ledger:usd');
const etherId = assetId(asset);
const dollar = 1_000_000n;
const market = 'ETH-USD';

interface Trader {
  readonly accountId: `acc_${string}`;
  readonly client: TradingClient;
}

/** A key that its owner made; the exchange learns the public half only. */
async function trader(context: DemoContext, accountId: `acc_${string}`, name: string): Promise<Trader> {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const id = makeId('key');
  await context.api.call('trading', 'PUT', `/v1/api-keys/${id}`, {
    name,
    publicKey: rawPublicKey(publicKey),
    accountIds: [accountId],
    permissions: ['read', 'trade', 'transfer'],
  });
  const client = createTradingClient({
    baseUrl: context.environment.apiUrl,
    key: { id, privateKey },
  });
  return { accountId, client };
}

const rawPublicKey = (key: KeyObject): string => key.export({ format: 'jwk' }).x ?? '';

/** Between main and spot; told when it can be used there. */
async function move(
  { accountId, client }: Trader,
  what: Pick<SpotTransfer, 'asset' | 'units' | 'direction'>,
): Promise<void> {
  const transfer: SpotTransfer = { id: makeId('spt'), accountId, ...what };
  await until(`${what.asset} to be moved ${what.direction}`, async () => {
    const { state } = await client.moveSpot(transfer);
    assertThat(state === 'pending' || state === 'done', `the move ${what.direction} is ${state}`);
    return state === 'done' ? true : undefined;
  });
}

const sum = (fills: readonly FillView[], of: 'size' | 'fee'): bigint =>
  fills.reduce((total, fill) => total + toUnits(fill[of], 18), 0n);

/** A decimal number as whole units of so many places. */
function toUnits(text: string, places: number): bigint {
  const [whole = '0', fraction = ''] = text.split('.');
  return BigInt(`${whole}${fraction.padEnd(places, '0')}`);
}

async function fund(context: DemoContext, buyerId: string, step: Step): Promise<void> {
  await context.api.call('trading', 'PUT', `/v1/accounts/${buyerId}`);
  const paidIn = await bookCorrection(
    context,
    {
      reason: 'dollars the buyer has paid to the bank account of the house',
      legs: [
        {
          debit: 'house:suspense',
          credit: `customer:${buyerId}:main`,
          asset: dollars,
          units: (5_000n * dollar).toString(),
        },
      ],
    },
    { proposer: 'ada', approver: 'dora' },
  );
  assertThat(paidIn.state === 'booked', 'two people can book what no chain shows');
  step.say('ada proposed and dora approved 5,000 dollars for the buyer, each with a passkey.');
  step.fact('adjustment', paidIn.id);
}

/** Why the engine did not take it. */
const refusalOf = async (placed: Promise<unknown>): Promise<string> =>
  await placed.then(
    () => 'taken',
    (error: unknown) => String(isStrongroomError(error) ? error.details['reason'] : error),
  );

/** Two sell orders, one buy order that takes the first whole and a part of the second. */
async function trade({ seller, buyer }: { seller: Trader; buyer: Trader }, step: Step): Promise<void> {
  const limit = { market, type: 'limit' as const };
  const sell = { ...limit, accountId: seller.accountId, side: 'sell' as const };
  await seller.client.place({ ...sell, price: '2500.00', size: '0.3' });
  await seller.client.place({ ...sell, price: '2501.00', size: '0.3' });
  const order: NewOrder = {
    ...limit,
    accountId: buyer.accountId,
    side: 'buy',
    price: '2501.00',
    size: '0.5',
    clientOrderId: '1',
  };
  const bought = await buyer.client.place(order);
  assertThat(bought.status === 'filled' && bought.fills.length === 2, 'the buy order meets both sell orders');
  for (const { price, size, fee } of bought.fills)
    step.say(`bought ${size} ether at ${price} dollars, fee ${fee} ether`);
  step.fact(
    'trades',
    bought.fills.map(({ tradeId }) => tradeId),
  );
  const again = await refusalOf(buyer.client.place(order));
  assertThat(again === 'duplicate-client-id', `the same client order id again: ${again}`);
  step.say('The same order sent again is refused: its client order id is taken.');
}

/** Once the books have them: what the buyer received, less the fees, in wei. */
async function settled(buyer: Trader, step: Step): Promise<bigint> {
  const fills = await until('the trades to be settled', async () => {
    const booked = await buyer.client.fills({ accountId: buyer.accountId, limit: 10 });
    return booked.length === 2 ? booked : undefined;
  });
  const received = sum(fills, 'size') - sum(fills, 'fee');
  step.fact(
    'settled',
    fills.map(({ tradeId }) => tradeId),
  );
  return received;
}

export async function tellTrade(context: DemoContext): Promise<void> {
  await context.story.step(
    'trade',
    'A customer sells ether to another, who pays in dollars of our books and withdraws the ether',
    async (step) => {
      const buyerId = makeId('acc');
      await fund(context, buyerId, step);
      const seller = await trader(context, context.found.accountId as Trader['accountId'], 'seller');
      const buyer = await trader(context, buyerId, 'buyer');
      await move(seller, { asset: etherId, units: ether.toString(), direction: 'to-spot' });
      await move(buyer, { asset: dollars, units: (2_000n * dollar).toString(), direction: 'to-spot' });
      await trade({ seller, buyer }, step);
      const received = await settled(buyer, step);
      assertThat(received === (499n * ether) / 1000n, 'half an ether less the fee of 0.2 %');
      await seller.client.cancelAll({ accountId: seller.accountId });
      await move(buyer, { asset: etherId, units: received.toString(), direction: 'to-main' });
      const { available } = await balance(context, { accountId: buyerId });
      assertThat(available === received.toString(), 'what was bought is in the main account');
      const paid = { address: freshAddress(), units: received };
      const { id } = await requestWithdrawal(context, { ...paid, accountId: buyerId });
      await waitForWithdrawal(context, id, 'FINAL', { mine: true });
      await assertPaidOnce(context, { id, ...paid }, step);
      step.say('The ether left the exchange; the dollars changed owners on our books.');
      const { balances } = await seller.client.account(seller.accountId);
      step.fact(
        'seller has',
        balances.map(({ asset: of, available: free }) => `${free} ${of}`),
      );
    },
  );
}
