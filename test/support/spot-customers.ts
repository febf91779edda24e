/** Customers who have money in their main accounts, and as much on its way to spot: where every exchange in the tests begins. */
import { derivedId, type Id } from '#core/ids';
import { amount, assetId } from '#core/money';
import type { Pool } from '#infra/db';
import type { Ledger } from '#ledger';
import { customerMain, customerSpot, houseSuspense, openingBalance, spotIn } from '#ledger/contract';

/** One engine unit is 10^9 base units, as of ether. */
export const coin = assetId('eip155:31337/slip44:60');
export const coinUnit = 10n ** 9n;
export const usd = assetId('ledger:usd');
export const gold = assetId('ledger:gold');

/** Spot units of each asset that a customer begins with, base units. */
export const startUnits = new Map([
  [coin, 10n ** 9n * coinUnit],
  [usd, 10n ** 15n],
  [gold, 10n ** 12n],
]);

export const customer = (at: number): Id<'acc'> => derivedId('acc', `customer ${at}`);

/** Customers 1 to `customers`. @param reference begins those of the ledger: once per database */
export async function fundCustomers(
  pool: Pool,
  ledger: Pick<Ledger, 'apply' | 'openAccounts'>,
  { reference, customers }: { readonly reference: string; readonly customers: number },
): Promise<void> {
  const all = Array.from({ length: customers }, (_, at) => at + 1);
  for (const [asset, units] of startUnits) {
    await ledger.openAccounts(pool, [
      { path: houseSuspense, asset },
      ...all.flatMap((at) => [
        { path: customerMain(customer(at)), asset },
        { path: customerSpot(customer(at)), asset },
      ]),
    ]);
    const results = await ledger.apply(
      all.flatMap((at) => [
        ...openingBalance({
          reference: `${reference}/${asset}/${at}`,
          account: customerMain(customer(at)),
          against: houseSuspense,
          amount: amount(asset, 2n * units),
        }),
        ...spotIn({
          reference: `${reference}/start/${asset}/${at}`,
          accountId: customer(at),
          amount: amount(asset, units),
        }),
      ]),
    );
    const refused = results.find(({ status }) => status !== 'ok');
    if (refused !== undefined) throw new Error(`the start of ${asset}: ${JSON.stringify(refused)}`);
  }
}
