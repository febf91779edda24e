import { describe, expect, test } from 'vitest';
import type { Id } from '#core/ids';
import { amount, assetId } from '#core/money';
import {
  accountKind,
  accountKinds,
  accountRules,
  chainDeposit,
  chainHot,
  customerMain,
  customerProvisional,
  declareFloat,
  depositFinal,
  depositOrphanedAfterFinal,
  depositOrphanedBeforeFinal,
  depositSeen,
  hotInflow,
  networkFeePaid,
  networkFeeReleased,
  networkFeeReserve,
  suspense,
  sweepPaid,
  sweepReleased,
  sweepStart,
  type TransferCommand,
  withdrawalHold,
  withdrawalPaid,
  withdrawalReleased,
} from '#ledger/contract';

const uuid = '0190a000-0000-7000-8000-00000000000';
const accountId: Id<'acc'> = `acc_${uuid}1`;
const walletId: Id<'wal'> = `wal_${uuid}2`;
const depositId: Id<'dep'> = `dep_${uuid}3`;
const withdrawalId: Id<'wd'> = `wd_${uuid}4`;
const sweepId: Id<'swp'> = `swp_${uuid}5`;
const batchId: Id<'bat'> = `bat_${uuid}6`;
const ether = assetId('eip155:31337/slip44:60');
const eth = (units: bigint) => amount(ether, units);
const deposit = { depositId, walletId, accountId, amount: eth(100n), sighting: 1 };

/** `kind debit > credit units`, with the ids left out. */
function legs(commands: readonly TransferCommand[]): string[] {
  return commands.map((c) => {
    const short = (path: string) => path.replace(accountId, 'A').replace(walletId, 'W');
    const linked = c.linked === true ? ' &' : '';
    if (c.kind === 'post' || c.kind === 'pending')
      return `${c.kind} ${short(c.debit)} > ${short(c.credit)} ${c.amount.units}${linked}`;
    return c.kind === 'post-pending' ? `${c.kind} ${c.amount.units}${linked}` : `${c.kind}${linked}`;
  });
}

describe('the legs of design section 8', () => {
  const table: [string, TransferCommand[], string[]][] = [
    ['deposit seen', depositSeen(deposit), ['post chain:pending:W > customer:A:provisional 100']],
    [
      'deposit final',
      depositFinal(deposit),
      ['post customer:A:provisional > chain:pending:W 100 &', 'post chain:deposit:W > customer:A:main 100'],
    ],
    [
      'orphaned before final',
      depositOrphanedBeforeFinal(deposit),
      ['post customer:A:provisional > chain:pending:W 100'],
    ],
    [
      'orphaned after final, all there',
      depositOrphanedAfterFinal({ ...deposit, available: eth(500n) }),
      ['post customer:A:main > chain:deposit:W 100'],
    ],
    [
      'orphaned after final, partly spent',
      depositOrphanedAfterFinal({ ...deposit, available: eth(30n) }),
      ['post customer:A:main > chain:deposit:W 30 &', 'post suspense:W > chain:deposit:W 70'],
    ],
    [
      'orphaned after final, swept and all spent',
      depositOrphanedAfterFinal({ ...deposit, available: eth(0n), mirror: chainHot(walletId) }),
      ['post suspense:W > chain:hot:W 100'],
    ],
    [
      'withdrawal hold',
      withdrawalHold({ withdrawalId, accountId, walletId, amount: eth(7n) }),
      ['pending customer:A:main > chain:hot:W 7'],
    ],
    ['withdrawal paid', withdrawalPaid({ withdrawalId, amount: eth(7n) }), ['post-pending 7']],
    ['withdrawal released', withdrawalReleased({ withdrawalId }), ['void-pending']],
    [
      'network fee reserve',
      networkFeeReserve({ feeOwner: batchId, payer: chainDeposit(walletId), cap: eth(9n) }),
      ['pending house:network-fee > chain:deposit:W 9'],
    ],
    ['network fee paid', networkFeePaid({ feeOwner: batchId, fee: eth(4n) }), ['post-pending 4']],
    ['network fee released', networkFeeReleased({ feeOwner: batchId }), ['void-pending']],
    [
      'sweep',
      sweepStart({ sweepId, walletId, amount: eth(5n) }),
      ['pending chain:hot:W > chain:deposit:W 5'],
    ],
    ['sweep paid', sweepPaid({ sweepId, amount: eth(5n) }), ['post-pending 5']],
    ['sweep released', sweepReleased({ sweepId }), ['void-pending']],
    [
      'inflow',
      hotInflow({ inflow: 'eip155:31337/0xab/0', walletId, amount: eth(8n) }),
      ['post chain:hot:W > suspense:W 8'],
    ],
    [
      'float',
      declareFloat({ inflow: 'eip155:31337/0xab/0', walletId, amount: eth(8n) }),
      ['post suspense:W > house:equity 8'],
    ],
  ];
  test.each(table)('%s', (_event, commands, expected) => {
    expect(legs(commands)).toEqual(expected);
  });
});

describe('ids', () => {
  test('the same event has the same ids, another sighting others', () => {
    expect(depositFinal(deposit)).toEqual(depositFinal({ ...deposit }));
    expect(depositSeen({ ...deposit, sighting: 2 })[0]?.id).not.toBe(depositSeen(deposit)[0]?.id);
  });

  test('paying and releasing a hold share one id, so that only one of them can happen', () => {
    expect(withdrawalPaid({ withdrawalId, amount: eth(7n) })[0]?.id).toBe(
      withdrawalReleased({ withdrawalId })[0]?.id,
    );
    expect(depositFinal(deposit)[0]?.id).toBe(depositOrphanedBeforeFinal(deposit)[0]?.id);
    expect(depositFinal(deposit)[0]?.code).not.toBe(depositOrphanedBeforeFinal(deposit)[0]?.code);
  });

  test('posting a hold names it', () => {
    const [hold] = withdrawalHold({ withdrawalId, accountId, walletId, amount: eth(7n) });
    expect(withdrawalPaid({ withdrawalId, amount: eth(7n) })[0]).toMatchObject({ pendingId: hold?.id });
  });
});

describe('account paths', () => {
  test('every constructor names its kind', () => {
    expect(accountKind(customerMain(accountId))).toBe('customer-main');
    expect(accountKind(customerProvisional(accountId))).toBe('customer-provisional');
    expect(accountKind(suspense(walletId))).toBe('suspense');
    expect(Object.keys(accountRules).sort()).toEqual([...accountKinds].sort());
  });

  test.each([
    'customer:acc_1:main',
    `customer:${accountId}`,
    `chain:tepid:${walletId}`,
    `customer:${accountId}:main:x`,
    'house:bank',
    '',
  ])('refuses %j', (path) => {
    expect(() => accountKind(path)).toThrowError(
      expect.objectContaining({ code: 'LEDGER_ACCOUNT_PATH_INVALID' }),
    );
  });
});
