/**
 * Engine against ledger, at the event up to which the engine is settled: what each account has in the engine, available and
 * held, is what its spot account has in the ledger, less what is on its way in.
 */
import { errorsOf } from '#core/errors';
import type { AssetId } from '#core/money';
import { inTransaction, type Pool, type Queryable } from '#infra/db';
import type { Ledger } from '#ledger';
import type { AccountPath } from '#ledger/contract';
import { customerSpot } from '#ledger/contract';
import { settlementErrors } from './errors.ts';
import type { SettlementHead } from './portion.ts';
import { type EventPlace, wholeCommand } from './settlement-events.ts';
import { type ReadLedger, returnReference, spotOwner } from './spot-feed.ts';
import { readHead, type SettledEngine } from './store.ts';

const fail = errorsOf(settlementErrors);

/** What is asked of an engine; it must not be fed meanwhile. */
export interface EngineBalances {
  /** Of its last command. */
  readonly seq: number;
  /** Of the last event of that command, where it is known: settled up to there is settled up to its end. */
  readonly lastIndex?: number;
  balance(account: number, asset: number): { readonly available: bigint; readonly held: bigint };
}
/** For an engine that can be brought to any event: it is asked within the snapshot that the books are read in. */
export type EngineAtHead = (head: SettlementHead) => EngineBalances;
export interface BalanceDifference {
  /** `house`: account 0 against the fees of all trades less what was taken. */
  readonly check: 'spot' | 'house';
  /** Account of the ledger; of the house its name. */
  readonly account: AccountPath | 'house';
  readonly asset: AssetId;
  /** Base units. */
  readonly engine: bigint;
  readonly ledger: bigint;
}
export interface Reconciliation {
  readonly at: EventPlace;
  readonly portion: bigint;
  /** Accounts times assets. */
  readonly compared: number;
  readonly differences: readonly BalanceDifference[];
}
export interface ReconcileOptions {
  readonly pool: Pool;
  readonly engine: SettledEngine;
  readonly ledger: Pick<Ledger, 'balances'>;
  readonly readEventsOfCodes: ReadLedger;
}

const keyOf = (path: string, asset: string): string => `${path} ${asset}`;

/** Moved to spot and not credited yet by the settled event, less what went back because the engine did not take it. */
async function onTheWayIn(
  queryable: Queryable,
  { engine, readEventsOfCodes }: ReconcileOptions,
  credited: bigint,
): Promise<ReadonlyMap<string, bigint>> {
  const sums = new Map<string, bigint>();
  const change = (path: string, asset: string, units: bigint): void => {
    sums.set(keyOf(path, asset), (sums.get(keyOf(path, asset)) ?? 0n) + units);
  };
  const returns = new Map<string, bigint>();
  for (let after = credited; ; ) {
    const { events, upTo } = await readEventsOfCodes(queryable, { after, codes: ['spot-in', 'spot-out'] });
    for (const { seq, code, reference, debit, credit, amount } of events) {
      if (code === 'spot-in' && spotOwner(credit) !== undefined) {
        change(credit, amount.asset, amount.units);
        returns.set(returnReference(engine.name, seq), seq);
      } else if (code === 'spot-out' && returns.has(reference)) change(debit, amount.asset, -amount.units);
    }
    if (upTo === after) return sums;
    after = upTo;
  }
}

async function spotBalances(
  queryable: Queryable,
  { ledger }: ReconcileOptions,
): Promise<Map<string, bigint>> {
  const balances = await ledger.balances({ pathPrefix: 'customer:' }, queryable);
  return new Map(
    balances
      .filter(({ path }) => spotOwner(path) !== undefined)
      .map(({ path, asset, balance }) => [keyOf(path, asset), balance]),
  );
}

async function houseDifferences(
  queryable: Queryable,
  { no, assets }: SettledEngine,
  engine: EngineBalances,
): Promise<BalanceDifference[]> {
  const { rows } = await queryable.query<{ asset: number; units: string }>(
    'SELECT asset, charged - taken AS units FROM matching.house WHERE engine = $1 ORDER BY asset',
    [no],
  );
  return rows.flatMap(({ asset, units }) => {
    const found = assets[asset];
    if (found === undefined) return [];
    const { available, held } = engine.balance(0, asset);
    const [inEngine, booked] = [(available + held) * found.unit, BigInt(units) * found.unit];
    return inEngine === booked
      ? []
      : [
          {
            check: 'house' as const,
            account: 'house' as const,
            asset: found.id,
            engine: inEngine,
            ledger: booked,
          },
        ];
  });
}

/**
 * Compares every account of the engine, and every spot account of the ledger that the engine does not know. All that the
 * database says is of one snapshot.
 * @throws MATCHING_RECONCILE_ELSEWHERE when the engine is not at the settled event
 */
export async function reconcile(
  options: ReconcileOptions,
  engineOrAt: EngineBalances | EngineAtHead,
): Promise<Reconciliation> {
  const { pool } = options;
  return await inTransaction(pool, async (tx) => {
    await tx.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY');
    const head = await readHead(tx, options.engine);
    const engine = typeof engineOrAt === 'function' ? engineOrAt(head) : engineOrAt;
    const isWhole = head.index === wholeCommand || head.index === engine.lastIndex;
    if (head.seq !== engine.seq || !isWhole)
      throw fail(
        'MATCHING_RECONCILE_ELSEWHERE',
        `the engine is at command ${engine.seq}, settled is ${head.seq}`,
        {
          engineSeq: engine.seq,
          settledSeq: head.seq,
          settledIndex: head.index,
        },
      );
    const onTheWay = await onTheWayIn(tx, options, head.credited);
    const booked = await spotBalances(tx, options);
    const { rows } = await tx.query<{ number: number; account: string }>(
      'SELECT number, account FROM matching.account WHERE engine = $1 ORDER BY number',
      [options.engine.no],
    );
    const differences: BalanceDifference[] = await houseDifferences(tx, options.engine, engine);
    const compare = (account: AccountPath, asset: AssetId, inEngine: bigint): void => {
      const key = keyOf(account, asset);
      const ledger = (booked.get(key) ?? 0n) - (onTheWay.get(key) ?? 0n);
      booked.delete(key);
      if (inEngine !== ledger) differences.push({ check: 'spot', account, asset, engine: inEngine, ledger });
    };
    for (const { number, account } of rows)
      for (const [asset, { id, unit }] of options.engine.assets.entries()) {
        const { available, held } = engine.balance(number, asset);
        compare(customerSpot(`acc_${account}`), id, (available + held) * unit);
      }
    const compared = rows.length * options.engine.assets.length + booked.size;
    for (const key of [...booked.keys()]) {
      const [path = '', asset = ''] = key.split(' ');
      compare(path as AccountPath, asset as AssetId, 0n);
    }
    return { at: { seq: head.seq, index: head.index }, portion: head.portion, compared, differences };
  });
}
