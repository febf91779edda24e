/** Trading: to and from the accounts the matching engine trades with, and the settlement of its trades. */
import { invariant } from '#core/errors';
import type { Id } from '#core/ids';
import { type Amount, compare, isZero } from '#core/money';
import { customerMain, customerSpot, houseClearing, houseIncome } from '../accounts.ts';
import type { TransferCommand } from '../transfers.ts';
import { chained, legIdsOf, post, type Timed, when } from './legs.ts';

export interface SpotMove extends Timed {
  /** Names the movement once and for all: the id of its request, or its place in the engine's stream. */
  readonly reference: string;
  readonly accountId: Id<'acc'>;
  readonly amount: Amount;
}

/** A customer allocates funds to trading; the engine may use them once this is booked. */
export function spotIn(line: SpotMove): TransferCommand[] {
  const { reference, accountId, amount, at } = line;
  const debit = customerMain(accountId);
  const credit = customerSpot(accountId);
  return [post({ reference, step: 'spot-in', debit, credit, amount, code: 'spot-in', at })];
}

/** A customer takes funds back from trading; the engine has let go of them before this is booked. */
export function spotOut(line: SpotMove): TransferCommand[] {
  const { reference, accountId, amount, at } = line;
  const debit = customerSpot(accountId);
  const credit = customerMain(accountId);
  return [post({ reference, step: 'spot-out', debit, credit, amount, code: 'spot-out', at })];
}

export interface TradeLine extends Timed {
  /** The engine's stream, and where in it the trade stands: event by sequence, trade by index within the event. */
  readonly stream: string;
  readonly sequence: bigint;
  readonly index: number;
  readonly buyer: Id<'acc'>;
  readonly seller: Id<'acc'>;
  /** What the seller gives and the buyer receives. */
  readonly base: Amount;
  /** What the buyer gives and the seller receives. */
  readonly quote: Amount;
  /** Whose order was in the book. */
  readonly maker: 'buyer' | 'seller';
  /** In the asset that the maker receives, and in the one that the taker receives; zero for none. */
  readonly makerFee: Amount;
  readonly takerFee: Amount;
}

/**
 * A trade is settled, all of it or nothing: base against quote, and each side's fee in the asset it received. The ids come
 * from the trade's place in the engine's stream, so a stream that is read again books nothing twice.
 */
export function tradeSettled(line: TradeLine): TransferCommand[] {
  const { buyer, seller, base, quote, maker, makerFee, takerFee, at } = line;
  invariant(buyer !== seller, 'nobody trades with themselves', { buyer });
  invariant(base.asset !== quote.asset, 'a trade is between two assets', { asset: base.asset });
  const reference = `${line.stream}/${line.sequence}/${line.index}`;
  const received = {
    buyer: { account: customerSpot(buyer), amount: base },
    seller: { account: customerSpot(seller), amount: quote },
  };
  const fees = [
    { step: 'maker-fee', payer: received[maker], fee: makerFee },
    { step: 'taker-fee', payer: received[maker === 'buyer' ? 'seller' : 'buyer'], fee: takerFee },
  ];
  // `compare` also refuses a fee in another asset than the payer received.
  for (const { step, payer, fee } of fees)
    invariant(compare(fee, payer.amount) <= 0, 'a fee is paid out of what the trade brought', {
      reference,
      step,
    });
  const legs = [
    { step: 'base', debit: customerSpot(seller), credit: customerSpot(buyer), amount: base },
    { step: 'quote', debit: customerSpot(buyer), credit: customerSpot(seller), amount: quote },
  ].map((leg) => post({ ...leg, reference, code: 'trade', at }));
  const feeLegs = fees
    .filter(({ fee }) => !isZero(fee))
    .map(({ step, payer, fee }) =>
      post({
        reference,
        step,
        debit: payer.account,
        credit: houseIncome,
        amount: fee,
        code: 'trade-fee',
        at,
      }),
    );
  return chained([...legs, ...feeLegs]);
}

/** What all trades of a portion together gave a customer in one asset, or took. */
export interface NetMove {
  readonly accountId: Id<'acc'>;
  readonly amount: Amount;
  readonly gains: boolean;
}
export interface NetLine extends Timed {
  /** Names the portion and holds the hash of its trades, so that the journal's chain covers them too. */
  readonly reference: string;
  /** At most one per customer and asset. */
  readonly moves: Iterable<NetMove>;
  /** The house's, at most one per asset. */
  readonly fees: readonly Amount[];
}

/**
 * The trades of a portion are settled net: who gave more of an asset than they received pays the difference to clearing, and
 * clearing pays those who received more, and the house its fees. Per asset clearing gives what it got.
 */
export const tradesNetted = (line: NetLine): TransferCommand[] => [...tradesNettedInTurn(line)];

/**
 * The same, one by one, for portions of tens of thousands. To be read to its end before anything is booked: only there it is known
 * whether clearing gives what it got.
 */
export function* tradesNettedInTurn({ reference, moves, fees, at }: NetLine): Generator<TransferCommand> {
  const open = new Map<string, bigint>();
  const count = ({ asset, units }: Amount, gains: boolean): void => {
    open.set(asset, (open.get(asset) ?? 0n) + (gains ? -units : units));
  };
  const idOf = legIdsOf(reference);
  const shared = { kind: 'post', reference, ...when(at) } as const;
  let leg = 0;
  for (const { accountId, amount, gains } of moves) {
    count(amount, gains);
    const spot = customerSpot(accountId);
    const [debit, credit] = gains ? ([houseClearing, spot] as const) : ([spot, houseClearing] as const);
    yield { ...shared, id: idOf(leg++), debit, credit, amount, code: 'trade' };
  }
  for (const amount of fees) {
    count(amount, true);
    yield {
      ...shared,
      id: idOf(leg++),
      debit: houseClearing,
      credit: houseIncome,
      amount,
      code: 'trade-fee',
    };
  }
  for (const [asset, units] of open)
    invariant(units === 0n, 'clearing gives what it got', { reference, asset, units: units.toString() });
}
