import { describe, expect, test } from 'vitest';
import type { Id } from '#core/ids';
import { amount, assetId } from '#core/money';
import {
  accountClosed,
  accountKind,
  accountKinds,
  accountReopened,
  accountRules,
  adjustment,
  adjustmentHash,
  chainCold,
  chainDeposit,
  chainHot,
  customerMain,
  customerProvisional,
  declareFloat,
  depositFinal,
  depositOrphanedAfterFinal,
  depositOrphanedBeforeFinal,
  depositSeen,
  feeCharged,
  hotInflow,
  houseSuspense,
  networkFeePaid,
  networkFeeReleased,
  networkFeeReserve,
  openingBalance,
  rebalancePaid,
  rebalanceReleased,
  rebalanceStart,
  spotIn,
  spotOut,
  suspense,
  sweepPaid,
  sweepReleased,
  sweepStart,
  type TradeLine,
  type TransferCommand,
  tradeSettled,
  transferIdOf,
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
const rebalanceId: Id<'reb'> = `reb_${uuid}7`;
const buyer: Id<'acc'> = `acc_${uuid}8`;
const ether = assetId('eip155:31337/slip44:60');
const dollar = assetId('ledger:usd');
const usd = (units: bigint) => amount(dollar, units);
const eth = (units: bigint) => amount(ether, units);
const deposit = { depositId, walletId, accountId, amount: eth(100n), sighting: 1 };

const trade: TradeLine = {
  stream: 'trades/ETH-USD',
  sequence: 41n,
  index: 0,
  buyer,
  seller: accountId,
  base: eth(10n),
  quote: usd(30_000n),
  maker: 'seller',
  makerFee: usd(3n),
  takerFee: eth(1n),
};
const correction = {
  proposedBy: 'tess',
  reason: 'booked to the wrong customer',
  legs: [
    { debit: customerMain(accountId), credit: houseSuspense, amount: eth(5n) },
    { debit: houseSuspense, credit: customerMain(buyer), amount: eth(5n) },
  ],
};

/** `kind debit > credit units`, with the ids left out. */
function legs(commands: readonly TransferCommand[]): string[] {
  return commands.map((c) => {
    const short = (path: string) => path.replace(accountId, 'A').replace(buyer, 'B').replace(walletId, 'W');
    const linked = c.linked === true ? ' &' : '';
    if (c.kind === 'post' || c.kind === 'pending')
      return `${c.kind} ${short(c.debit)} > ${short(c.credit)} ${c.amount.units}${linked}`;
    if (c.kind === 'close-account' || c.kind === 'reopen-account') return `${c.kind} ${short(c.account)}`;
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
    [
      'rebalance',
      rebalanceStart({ rebalanceId, from: chainCold(walletId), to: chainHot(walletId), amount: eth(6n) }),
      ['pending chain:hot:W > chain:cold:W 6'],
    ],
    ['rebalance paid', rebalancePaid({ rebalanceId, amount: eth(6n) }), ['post-pending 6']],
    ['rebalance released', rebalanceReleased({ rebalanceId }), ['void-pending']],
    [
      'fee',
      feeCharged({ reference: withdrawalId, accountId, amount: eth(2n) }),
      ['post customer:A:main > house:income 2'],
    ],
    [
      'spot in',
      spotIn({ reference: 'spot/1', accountId, amount: eth(2n) }),
      ['post customer:A:main > customer:A:spot 2'],
    ],
    [
      'spot out',
      spotOut({ reference: 'spot/1', accountId, amount: eth(2n) }),
      ['post customer:A:spot > customer:A:main 2'],
    ],
    [
      'trade, the seller being the maker',
      tradeSettled(trade),
      [
        'post customer:A:spot > customer:B:spot 10 &',
        'post customer:B:spot > customer:A:spot 30000 &',
        'post customer:A:spot > house:income 3 &',
        'post customer:B:spot > house:income 1',
      ],
    ],
    [
      'trade, the buyer being the maker, free for makers',
      tradeSettled({ ...trade, maker: 'buyer', makerFee: eth(0n), takerFee: usd(9n) }),
      [
        'post customer:A:spot > customer:B:spot 10 &',
        'post customer:B:spot > customer:A:spot 30000 &',
        'post customer:A:spot > house:income 9',
      ],
    ],
    [
      'adjustment',
      adjustment(correction),
      ['post customer:A:main > house:suspense 5 &', 'post house:suspense > customer:B:main 5'],
    ],
    [
      'opening balance of a customer',
      openingBalance({
        reference: 'old/1',
        account: customerMain(accountId),
        against: houseSuspense,
        amount: eth(4n),
      }),
      ['post house:suspense > customer:A:main 4'],
    ],
    [
      'opening balance of a mirror',
      openingBalance({
        reference: 'old/2',
        account: chainHot(walletId),
        against: suspense(walletId),
        amount: eth(4n),
      }),
      ['post chain:hot:W > suspense:W 4'],
    ],
    [
      'account closed',
      accountClosed({ reference: 'kyc/1', account: customerMain(accountId), asset: ether }),
      ['close-account customer:A:main'],
    ],
    [
      'account reopened',
      accountReopened({ reference: 'kyc/2', account: customerMain(accountId), asset: ether }),
      ['reopen-account customer:A:main'],
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

  test("a customer's fee and the network's fee of one withdrawal are two transfers", () => {
    const [fee] = feeCharged({ reference: withdrawalId, accountId, amount: eth(2n) });
    const [network] = networkFeeReserve({
      feeOwner: withdrawalId,
      payer: chainHot(walletId),
      cap: eth(2n),
    });
    expect(fee?.id).not.toBe(network?.id);
  });

  test('a trade has the ids of its place in the stream, whatever is in it', () => {
    const idsOf = (line: TradeLine) => tradeSettled(line).map(({ id }) => id);
    expect(idsOf({ ...trade, base: eth(11n) })).toEqual(idsOf(trade));
    const places = [trade, { ...trade, sequence: 42n }, { ...trade, index: 1 }, { ...trade, stream: 'x' }];
    expect(new Set(places.flatMap(idsOf)).size).toBe(16);
  });

  test('an adjustment has other ids for another reason, proposer or leg', () => {
    const changed = [
      correction,
      { ...correction, reason: 'another' },
      { ...correction, proposedBy: 'tom' },
      { ...correction, corrects: transferIdOf('x', 'y') },
      { ...correction, legs: [...correction.legs].reverse() },
      { ...correction, legs: correction.legs.map((leg) => ({ ...leg, amount: eth(6n) })) },
    ];
    expect(new Set(changed.flatMap((each) => adjustment(each).map(({ id }) => id))).size).toBe(12);
    expect(adjustment(correction).map(({ reference }) => reference)).toEqual([
      adjustmentHash(correction),
      adjustmentHash(correction),
    ]);
  });

  test('posting a hold names it', () => {
    const [hold] = withdrawalHold({ withdrawalId, accountId, walletId, amount: eth(7n) });
    expect(withdrawalPaid({ withdrawalId, amount: eth(7n) })[0]).toMatchObject({ pendingId: hold?.id });
  });
});

describe('a trade that the engine cannot have made', () => {
  test.each<[string, Partial<TradeLine>]>([
    ['with oneself', { buyer: accountId }],
    ['of an asset against itself', { quote: eth(3n), makerFee: eth(0n) }],
    ['with a fee in the asset given', { makerFee: eth(1n) }],
    ['with a fee above what was received', { takerFee: eth(11n) }],
  ])('%s', (_name, part) => {
    expect(() => tradeSettled({ ...trade, ...part })).toThrow();
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
