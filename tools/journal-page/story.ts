/** The examples of docs/journal.md: one story, told in the order of the page, on books that begin empty. */
import type { Id } from '#core/ids';
import { amount, assetId } from '#core/money';
import type * as journal from '#ledger/contract';
import {
  type AccountPath,
  accountClosed,
  accountReopened,
  adjustment,
  chainCold,
  chainDeposit,
  chainHot,
  chainPending,
  customerMain,
  customerProvisional,
  customerSpot,
  declareFloat,
  depositFinal,
  depositOrphanedAfterFinal,
  depositOrphanedBeforeFinal,
  depositSeen,
  feeCharged,
  hotInflow,
  houseClearing,
  houseEquity,
  houseIncome,
  houseNetworkFee,
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
  type TransferCommand,
  tradeSettled,
  tradesNetted,
  withdrawalHold,
  withdrawalPaid,
  withdrawalReleased,
} from '#ledger/contract';

export interface Example {
  readonly template: keyof typeof journal;
  /** When each leg is booked. */
  readonly when: readonly string[];
  /** Booked before, to get there. */
  readonly given?: readonly TransferCommand[];
  readonly commands: readonly TransferCommand[];
  /** Whether two people must have agreed first. */
  readonly approved?: { readonly by: string; readonly content: journal.AdjustmentContent };
}
export interface Chapter {
  readonly title: string;
  /** The source file that holds the templates. */
  readonly file: string;
  readonly examples: readonly Example[];
}

const uuid = (n: number): string => `00000000-0000-8000-8000-${n.toString(16).padStart(12, '0')}`;
const alice: Id<'acc'> = `acc_${uuid(0xa)}`;
const bob: Id<'acc'> = `acc_${uuid(0xb)}`;
const carol: Id<'acc'> = `acc_${uuid(0xc)}`;
const walletId: Id<'wal'> = `wal_${uuid(1)}`;
const ether = assetId('ledger:eth');
const dollar = assetId('ledger:usd');
const eth = (units: bigint) => amount(ether, units);
const usd = (units: bigint) => amount(dollar, units);

/** What stands for an id in the tables of legs. */
export const placeholders: readonly (readonly [string, string])[] = [
  [alice, '<account>'],
  [bob, '<other account>'],
  [carol, '<account>'],
  [walletId, '<wallet>'],
];
const customer = (id: Id<'acc'>): AccountPath[] => [
  customerMain(id),
  customerSpot(id),
  customerProvisional(id),
];
export const accounts: readonly (readonly [path: AccountPath, asset: string])[] = [
  ...[
    ...[alice, bob, carol].flatMap(customer),
    ...[chainPending, chainDeposit, chainHot, chainCold, suspense].map((path) => path(walletId)),
    houseSuspense,
    houseClearing,
    houseEquity,
    houseIncome,
    houseNetworkFee,
  ].map((path) => [path, ether] as const),
  ...[...[alice, bob].flatMap(customer), houseSuspense, houseIncome].map((path) => [path, dollar] as const),
];

const deposit = (n: number, accountId: Id<'acc'>, units: bigint) => ({
  depositId: `dep_${uuid(n)}` as const,
  walletId,
  accountId,
  amount: eth(units),
  sighting: 1,
});
const [first, second, third] = [deposit(1, alice, 100n), deposit(2, alice, 7n), deposit(3, bob, 50n)];
const spentByBob = { reference: 'example/1', accountId: bob, amount: eth(20n) };

const deposits: Chapter = {
  title: 'Deposits',
  file: 'deposits.ts',
  examples: [
    {
      template: 'depositSeen',
      when: ['a block with it is read'],
      commands: depositSeen(first),
    },
    {
      template: 'depositFinal',
      when: ['its block is final', 'with the leg above'],
      commands: depositFinal(first),
    },
    {
      template: 'depositOrphanedBeforeFinal',
      when: ['its block left the chain'],
      given: depositSeen(second),
      commands: depositOrphanedBeforeFinal(second),
    },
    {
      template: 'depositOrphanedAfterFinal',
      when: ['its final block left the chain: what is left', 'with the leg above: what was spent'],
      given: [...depositSeen(third), ...depositFinal(third), ...spotIn(spentByBob)],
      commands: depositOrphanedAfterFinal({ ...third, available: eth(30n) }),
    },
  ],
};

const sweepId = (n: number): Id<'swp'> => `swp_${uuid(n)}`;
const rebalanceId = (n: number): Id<'reb'> => `reb_${uuid(n)}`;
const tiers = { from: chainHot(walletId), to: chainCold(walletId) };
const inflow = { inflow: 'example/0xab/0', walletId, amount: eth(40n) };

const treasury: Chapter = {
  title: 'Treasury',
  file: 'treasury.ts',
  examples: [
    {
      template: 'sweepStart',
      when: ['before it is signed'],
      commands: sweepStart({ sweepId: sweepId(1), walletId, amount: eth(60n) }),
    },
    {
      template: 'sweepPaid',
      when: ['its block is final'],
      commands: sweepPaid({ sweepId: sweepId(1), amount: eth(60n) }),
    },
    {
      template: 'sweepReleased',
      when: ['it failed, or its nonce was used'],
      given: sweepStart({ sweepId: sweepId(2), walletId, amount: eth(5n) }),
      commands: sweepReleased({ sweepId: sweepId(2) }),
    },
    {
      template: 'rebalanceStart',
      when: ['before it is signed'],
      commands: rebalanceStart({ rebalanceId: rebalanceId(1), ...tiers, amount: eth(20n) }),
    },
    {
      template: 'rebalancePaid',
      when: ['its block is final'],
      commands: rebalancePaid({ rebalanceId: rebalanceId(1), amount: eth(20n) }),
    },
    {
      template: 'rebalanceReleased',
      when: ['it failed, or its nonce was used'],
      given: rebalanceStart({ rebalanceId: rebalanceId(2), ...tiers, amount: eth(5n) }),
      commands: rebalanceReleased({ rebalanceId: rebalanceId(2) }),
    },
    { template: 'hotInflow', when: ['its block is final'], commands: hotInflow(inflow) },
    { template: 'declareFloat', when: ['treasury declares it'], commands: declareFloat(inflow) },
  ],
};

const withdrawalId = (n: number): Id<'wd'> => `wd_${uuid(n)}`;
const feeOwner = (n: number): Id<'bat'> => `bat_${uuid(n)}`;
const hold = (n: number) =>
  withdrawalHold({ withdrawalId: withdrawalId(n), accountId: alice, walletId, amount: eth(10n) });
const fee = (n: number) =>
  networkFeeReserve({ feeOwner: feeOwner(n), payer: chainHot(walletId), cap: eth(5n) });

const payments: Chapter = {
  title: 'Payments',
  file: 'payments.ts',
  examples: [
    { template: 'withdrawalHold', when: ['it is requested'], commands: hold(1) },
    {
      template: 'withdrawalPaid',
      when: ['its block is final'],
      commands: withdrawalPaid({ withdrawalId: withdrawalId(1), amount: eth(10n) }),
    },
    {
      template: 'withdrawalReleased',
      when: ['it ends without a payout'],
      given: hold(2),
      commands: withdrawalReleased({ withdrawalId: withdrawalId(2) }),
    },
    { template: 'networkFeeReserve', when: ['before the batch is signed'], commands: fee(1) },
    {
      template: 'networkFeePaid',
      when: ['its block is final, whether it succeeded or was reverted'],
      commands: networkFeePaid({ feeOwner: feeOwner(1), fee: eth(3n) }),
    },
    {
      template: 'networkFeeReleased',
      when: ['nothing of the batch can be mined any more'],
      given: fee(2),
      commands: networkFeeReleased({ feeOwner: feeOwner(2) }),
    },
    {
      template: 'feeCharged',
      when: ['the service was rendered'],
      commands: feeCharged({ reference: withdrawalId(1), accountId: alice, amount: eth(1n) }),
    },
  ],
};

const imported = {
  reference: 'import/1',
  account: customerMain(bob),
  against: houseSuspense,
  amount: usd(1_000n),
} as const;
const trade = {
  stream: 'trades/eth-usd',
  sequence: 1n,
  index: 0,
  buyer: bob,
  seller: alice,
  base: eth(10n),
  quote: usd(300n),
  maker: 'seller',
  makerFee: usd(2n),
  takerFee: eth(1n),
} as const;

const netted = {
  reference: 'engine/main/p1/0f3a',
  moves: [
    { accountId: alice, amount: eth(2n), gains: false },
    { accountId: bob, amount: eth(1n), gains: true },
  ],
  fees: [eth(1n)],
} as const;

const trading: Chapter = {
  title: 'Trading',
  file: 'trading.ts',
  examples: [
    {
      template: 'spotIn',
      when: ['before the engine may use it'],
      commands: spotIn({ reference: 'example/2', accountId: alice, amount: eth(15n) }),
    },
    {
      template: 'tradeSettled',
      when: [
        'the engine has matched it',
        'with the leg above',
        "with it; the maker's, none if zero",
        "with it; the taker's, none if zero",
      ],
      given: [
        ...openingBalance(imported),
        ...spotIn({ reference: 'example/3', accountId: bob, amount: usd(600n) }),
      ],
      commands: tradeSettled(trade),
    },
    {
      template: 'tradesNetted',
      when: ['for who gave more than they received', 'for who received more', 'the fees of both sides'],
      given: [
        ...spotIn({ reference: 'example/5', accountId: alice, amount: eth(3n) }),
        ...spotIn({ reference: 'example/6', accountId: bob, amount: usd(90n) }),
      ],
      commands: tradesNetted(netted),
    },
    {
      template: 'spotOut',
      when: ['after the engine let go of it'],
      commands: spotOut({ reference: 'example/4', accountId: alice, amount: usd(298n) }),
    },
  ],
};

const correction: journal.AdjustmentContent = {
  proposedBy: 'ana',
  reason: 'fee of withdrawal 1 was charged by mistake',
  legs: [
    { debit: houseIncome, credit: customerMain(alice), amount: eth(1n) },
    { debit: houseEquity, credit: customerMain(alice), amount: eth(2n) },
  ],
};
const status = { account: customerMain(carol), asset: ether };

const corrections: Chapter = {
  title: 'By hand',
  file: 'corrections.ts',
  examples: [
    {
      template: 'adjustment',
      when: ['a second person has approved it', 'with the leg above, if there are more'],
      commands: adjustment(correction),
      approved: { by: 'ben', content: correction },
    },
    {
      template: 'openingBalance',
      when: ['balances of another system are taken over; a mirror is debited, all others credited'],
      commands: openingBalance({
        reference: 'import/2',
        account: chainCold(walletId),
        against: houseSuspense,
        amount: eth(500n),
      }),
    },
    {
      template: 'accountClosed',
      when: ['somebody decides it; the account is empty'],
      commands: accountClosed({ reference: 'decision/1', ...status }),
    },
    {
      template: 'accountReopened',
      when: ['somebody decides it'],
      commands: accountReopened({ reference: 'decision/2', ...status }),
    },
  ],
};

export const chapters: readonly Chapter[] = [deposits, treasury, payments, trading, corrections];
/** Sent once more, unchanged and changed. */
export const repeated = {
  unchanged: depositFinal(first),
  changed: depositSeen({ ...first, amount: eth(101n) }),
};
