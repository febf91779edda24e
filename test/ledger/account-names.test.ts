/** An account that SQL opens and no reader takes for one would make the journal unreadable for ever. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPool, type Pool } from '#infra/db';
import { createLedger } from '#ledger';
import { customerMain, houseEquity } from '#ledger/contract';
import { databaseForThisFile } from '../support/database.ts';
import { accountOf, ether, gold } from './fixture.ts';

let pool: Pool;
beforeAll(async () => {
  pool = openPool({ connectionString: await databaseForThisFile(), applicationName: 'test-account-names' });
});
afterAll(async () => {
  await pool.end();
});

const open = async (path: string, asset: string) =>
  await pool.query('SELECT ledger.open_accounts(ARRAY[$1::text], ARRAY[$2::text])', [path, asset]);
const main = customerMain(accountOf('a'));

test.each([
  ['customer:acc_1:main', ether],
  ['customer:acc_0190a000-0000-4000-8000-000000000001:main', ether],
  ['customer:acc_0190a000-0000-7000-0000-000000000001:main', ether],
  ['customer:acc_0190a00000007000800000000000000001aa:main', ether],
  ['chain:hot:wal_----', ether],
  ['suspense:wal_0190a000-0000-7000-8000-0000000000011', ether],
  [main, 'ETH'],
  [main, 'ledger:UPPER'],
  [main, 'ledger:'],
  [main, `eip155:1/slip44:${'6'.repeat(129)}`],
])('%s of %s cannot be opened', async (path, asset) => {
  await expect(open(path, asset)).rejects.toMatchObject({ code: 'LG003' });
});

test('what can be opened by SQL can be read', async () => {
  for (const [path, asset] of [
    [main, ether],
    [main, gold],
    [houseEquity, gold],
    [
      'chain:cold:wal_0190a000-0000-7000-b000-000000000001',
      'bip122:000000000019d6689c085ae165831e93/slip44:0',
    ],
  ] as const)
    await open(path, asset);
  expect(await createLedger({ pool }).balances({})).toHaveLength(4);
});
