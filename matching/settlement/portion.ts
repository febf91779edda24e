/** A portion of events as it is booked: its rows, its hash, and the transfers that follow from them. Pure. */
import { createHash } from 'node:crypto';
import { invariant } from '#core/errors';
import type { Id } from '#core/ids';
import {
  type AccountPath,
  type AccountRef,
  customerMain,
  customerSpot,
  houseClearing,
  houseIncome,
  type NetMove,
  spotOut,
  type TransferCommand,
  tradesNettedInTurn,
} from '#ledger/contract';
import { digest } from '../journal/format.ts';
import { assetOf, type EngineAsset, ledgerAmount } from './assets.ts';
import { assetsPerAccount, type Net } from './netting.ts';
import type { EventPlace, Movement, SettledTrade } from './settlement-events.ts';
import { type Steps, sliced } from './steps.ts';

/** How far an engine is settled. */
export interface SettlementHead extends EventPlace {
  readonly portion: bigint;
  /** Trades so far; also the number of the newest one. */
  readonly trades: bigint;
  /** The newest transfer of the ledger that the engine was credited. */
  readonly credited: bigint;
  readonly hash: Buffer;
}
export interface PortionEvents {
  readonly trades: readonly SettledTrade[];
  readonly movements: readonly Movement[];
  readonly nets: readonly Net[];
  /** The last event, of any kind. */
  readonly upTo: EventPlace;
}
export interface HouseChange {
  readonly asset: number;
  readonly charged: bigint;
  readonly taken: bigint;
}
export interface Portion extends PortionEvents {
  readonly after: SettlementHead;
  /** As the engine is settled once it is booked. */
  readonly head: SettlementHead;
  readonly house: readonly HouseChange[];
}
export interface PortionContext {
  readonly engineName: string;
  readonly assets: readonly EngineAsset[];
  /** @throws MATCHING_ACCOUNT_UNKNOWN */
  readonly accountOf: (number: number) => Id<'acc'>;
}

export const clientIdOf = ({ clientOrderId = 0n }: Movement): bigint | undefined =>
  clientOrderId === 0n ? undefined : clientOrderId;

/** `matching.trade_line` writes the same. */
const tradeLine = (t: SettledTrade, number: bigint): string =>
  `${number}|${t.seq}|${t.index}|${t.timeMs}|${t.market}|${t.price}|${t.lots}|${t.takerBuys ? 'buy' : 'sell'}|${
    t.auction ? 'auction' : ''
  }|${t.taker}|${t.maker}|${t.takerOrder}|${t.makerOrder}|${t.takerFee}|${t.makerFee}`;
/** `matching.movement_line` writes the same. */
const movementLine = (m: Movement): string =>
  `${m.seq}|${m.index}|${m.account}|${m.asset}|${m.units}|${m.ledgerSeq ?? ''}|${clientIdOf(m) ?? ''}`;

function* hashOf({ trades: before }: SettlementHead, { trades, movements }: PortionEvents): Steps<Buffer> {
  const hash = createHash('sha256');
  let number = before;
  for (const some of sliced(trades)) {
    const lines = some.map((trade) => tradeLine(trade, ++number)).join('\n');
    hash.update(number - before > some.length ? `\n${lines}` : lines);
    yield;
  }
  return hash.update(`\n\n${movements.map(movementLine).join('\n')}`).digest();
}

function headAfter(
  after: SettlementHead,
  { trades, movements, upTo }: PortionEvents,
  rowsHash: Buffer,
): SettlementHead {
  const portion = after.portion + 1n;
  const credited = movements.reduce(
    (newest, { ledgerSeq = 0 }) => (BigInt(ledgerSeq) > newest ? BigInt(ledgerSeq) : newest),
    after.credited,
  );
  return {
    ...upTo,
    portion,
    trades: after.trades + BigInt(trades.length),
    credited,
    hash: digest(after.hash, `${portion}|${upTo.seq}|${upTo.index}|`, rowsHash),
  };
}

function houseChanges({ nets, movements }: PortionEvents): HouseChange[] {
  const changes = new Map<number, HouseChange>();
  const change = (asset: number, charged: bigint, taken: bigint): void => {
    const before = changes.get(asset);
    changes.set(asset, {
      asset,
      charged: (before?.charged ?? 0n) + charged,
      taken: (before?.taken ?? 0n) + taken,
    });
  };
  for (const { account, asset, units } of nets) if (account === 0) change(asset, units, 0n);
  for (const { account, asset, units } of movements) if (account === 0) change(asset, 0n, units);
  return [...changes.values()];
}

/**
 * The portion's transfers, one by one. Nets first: they bring what is debited afterwards. A debit of account 0 moves nothing: fees
 * are the house's income in the ledger since their trades were booked.
 */
export function* transfersOf(
  { engineName, assets, accountOf }: PortionContext,
  { nets, movements, head }: Portion,
): Generator<TransferCommand> {
  const amountOf = ({ asset, units }: Net) => ledgerAmount(assets, asset, units < 0n ? -units : units);
  const fees = nets.filter(({ account }) => account === 0);
  invariant(
    fees.every(({ units }) => units > 0n),
    'the house pays no fees',
    { portion: head.portion.toString() },
  );
  function* moves(): Generator<NetMove> {
    for (const net of nets)
      if (net.account !== 0)
        yield { accountId: accountOf(net.account), amount: amountOf(net), gains: net.units > 0n };
  }
  yield* tradesNettedInTurn({
    reference: `engine/${engineName}/p${head.portion}/${head.hash.toString('hex')}`,
    moves: moves(),
    fees: fees.map(amountOf),
  });
  for (const { kind, seq, index, account, asset, units } of movements)
    if (kind === 'debited' && account !== 0)
      yield* spotOut({
        reference: `engine/${engineName}/${seq}/${index}`,
        accountId: accountOf(account),
        amount: ledgerAmount(assets, asset, units),
      });
}

/** An account of the ledger that the portion's transfers name. */
export interface NamedAccount extends AccountRef {
  /** One number for account and asset, so that many can be remembered. */
  readonly key: number;
}
/** Numbers that no account of the engine has: one below all of them, and from where on all are above them (2^22). */
const [clearingNumber, mainsFrom] = [-1, 2 ** 30] as const;
const keyOf = (account: number, asset: number): number => account * assetsPerAccount + asset;

/** The accounts of the transfers, without those that are known already. @throws MATCHING_ACCOUNT_UNKNOWN */
export function* accountsOf(
  { assets, accountOf }: PortionContext,
  { nets, movements }: PortionEvents,
  known: ReadonlySet<number>,
): Generator<NamedAccount> {
  const named = new Set<number>();
  const refOf = (key: number, asset: number, path: () => AccountPath): NamedAccount[] => {
    if (known.has(key) || named.has(key)) return [];
    named.add(key);
    return [{ key, path: path(), asset: assetOf(assets, asset).id }];
  };
  for (const { account, asset } of nets) {
    yield* refOf(keyOf(clearingNumber, asset), asset, () => houseClearing);
    yield* refOf(keyOf(account, asset), asset, () =>
      account === 0 ? houseIncome : customerSpot(accountOf(account)),
    );
  }
  for (const { kind, account, asset } of movements)
    if (kind === 'debited' && account !== 0)
      yield* refOf(keyOf(mainsFrom + account, asset), asset, () => customerMain(accountOf(account)));
}

export function* portionOf(after: SettlementHead, events: PortionEvents): Steps<Portion> {
  const head = headAfter(after, events, yield* hashOf(after, events));
  return { ...events, after, head, house: houseChanges(events) };
}
