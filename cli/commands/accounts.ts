/** `status` and `balances`. */

import type { BalanceView } from '#workflows/contract';
import { readAssets } from '../assets.ts';
import { type Connection, call, readHealth } from '../client.ts';
import { formatTable } from '../format.ts';
import type { Output } from '../output.ts';

/** The exit code says it too: 0 only when every part is up. */
export async function showStatus(connection: Connection, output: Output): Promise<number> {
  const health = await readHealth(connection);
  const rows = [['part', 'state'], ['api', 'ok'], ...Object.entries(health.parts)];
  output.show(health, formatTable(rows));
  return health.ok ? 0 : 1;
}

export async function showBalances(connection: Connection, accountId: string, output: Output): Promise<void> {
  const { balances } = await call<{ balances: BalanceView[] }>(
    connection,
    'GET',
    `/v1/accounts/${encodeURIComponent(accountId)}/balances`,
  );
  const show = await readAssets(connection);
  const rows = [
    ['asset', 'available', 'held', 'provisional'],
    ...balances.map((row) => [
      row.asset,
      show(row.asset, row.available),
      show(row.asset, row.held),
      show(row.asset, row.provisional),
    ]),
  ];
  output.show({ balances }, balances.length === 0 ? 'no balances' : formatTable(rows));
}
