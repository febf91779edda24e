/** The rows of the settlement: one engine's registration, its head, a portion. */
import { errorsOf, isStrongroomError } from '#core/errors';
import { isDatabaseAway, isRetryable, type Queryable, type Tx } from '#infra/db';
import type { EngineConfig } from '../config.ts';
import { type EngineAsset, engineAssets } from './assets.ts';
import { settlementErrors } from './errors.ts';
import { clientIdOf, type Portion, type SettlementHead } from './portion.ts';
import type { SettledTrade } from './settlement-events.ts';
import type { Steps } from './steps.ts';

const fail = errorsOf(settlementErrors);

/** An engine as the settlement knows it. */
export interface SettledEngine {
  readonly no: number;
  readonly name: string;
  readonly config: EngineConfig;
  readonly assets: readonly EngineAsset[];
}

const sqlStateOf = (error: unknown): string | undefined =>
  error instanceof Error && 'severity' in error && 'code' in error ? String(error.code) : undefined;
/** SQLSTATE of `matching.open_engine`. */
const engineDiffers = 'MT002';
/** SQLSTATE: a lock was not to be had in the time somebody set; the class of a login that is refused, as while a password is changed. */
const waitedFor = /^(55P03|28)/;

/**
 * Whether the database could not be asked, did not answer or could not do it now; anything else is an answer, or a defect of ours that
 * no waiting ends.
 */
export function isOutage(error: unknown): boolean {
  if (isStrongroomError(error)) return error.kind === 'unavailable';
  return waitedFor.test(sqlStateOf(error) ?? '') || isDatabaseAway(error) || isRetryable(error);
}

/**
 * Registers the engine at its first start.
 * @param name of its journal: 1 to 32 of a-z, 0-9 and -
 * @throws MATCHING_ENGINE_DIFFERS
 */
export async function openEngine(
  queryable: Queryable,
  name: string,
  config: EngineConfig,
): Promise<SettledEngine> {
  const assets = engineAssets(config);
  const { markets } = config;
  try {
    const { rows } = await queryable.query<{ no: number }>(
      'SELECT matching.open_engine($1, $2, $3, $4, $5, $6, $7, $8) AS no',
      [
        name,
        assets.map(({ id }) => id),
        assets.map(({ unit }) => unit.toString()),
        markets.map(({ id }) => id),
        markets.map(({ base }) => base),
        markets.map(({ quote }) => quote),
        markets.map(({ lotUnits }) => lotUnits),
        markets.map(({ tickUnits }) => tickUnits),
      ],
    );
    return { no: rows[0]?.no ?? 0, name, config, assets };
  } catch (error) {
    if (sqlStateOf(error) !== engineDiffers) throw error;
    throw fail(
      'MATCHING_ENGINE_DIFFERS',
      `${name} was settled with other assets or markets`,
      { name },
      error,
    );
  }
}

/** One that was registered; undefined for any other. Needs no right to write. @param config what it was registered with */
export async function findEngine(
  queryable: Queryable,
  name: string,
  config: EngineConfig,
): Promise<SettledEngine | undefined> {
  const { rows } = await queryable.query<{ no: number }>('SELECT no FROM matching.engine WHERE name = $1', [
    name,
  ]);
  const no = rows[0]?.no;
  return no === undefined ? undefined : { no, name, config, assets: engineAssets(config) };
}

export async function readHead(
  queryable: Queryable,
  engine: Pick<SettledEngine, 'no'>,
): Promise<SettlementHead> {
  const { rows } = await queryable.query<{
    portion: string;
    trades: string;
    seq: string;
    index: number;
    credited: string;
    hash: Buffer;
  }>('SELECT portion, trades, seq, index, credited, hash FROM matching.head WHERE engine = $1', [engine.no]);
  const [row] = rows;
  if (row === undefined) throw new RangeError(`engine ${engine.no} is not registered`);
  return {
    portion: BigInt(row.portion),
    trades: BigInt(row.trades),
    seq: Number.parseInt(row.seq, 10),
    index: row.index,
    credited: BigInt(row.credited),
    hash: row.hash,
  };
}

/** An array in PostgreSQL's text form of values that need no quotes; the driver's own way would escape each. */
const plainArray = (values: readonly (string | number | bigint | boolean)[]): string =>
  `{${values.join(',')}}`;

/** A portion as `matching.record_portion` takes it. */
export interface PortionRows {
  readonly after: bigint;
  readonly columns: readonly unknown[];
}

/** What can be done before the transaction: 3 MB of text for the largest portion. */
export function* portionRows(engine: SettledEngine, portion: Portion): Steps<PortionRows> {
  const { after, head, trades, movements, house } = portion;
  const columns: unknown[] = [engine.no, after.portion, head.seq, head.index, head.hash];
  const ofTrades: ((trade: SettledTrade) => number | boolean)[] = [
    ({ seq }) => seq,
    ({ index }) => index,
    ({ timeMs }) => timeMs,
    ({ market }) => market,
    ({ price }) => price,
    ({ lots }) => lots,
    ({ takerBuys }) => takerBuys,
    ({ auction }) => auction,
    ({ taker }) => taker,
    ({ maker }) => maker,
    ({ takerOrder }) => takerOrder,
    ({ makerOrder }) => makerOrder,
    ({ takerFee }) => takerFee,
    ({ makerFee }) => makerFee,
  ];
  for (const column of ofTrades) {
    columns.push(plainArray(trades.map(column)));
    yield;
  }
  columns.push(
    plainArray(movements.map(({ seq }) => seq)),
    plainArray(movements.map(({ index }) => index)),
    plainArray(movements.map(({ account }) => account)),
    plainArray(movements.map(({ asset }) => asset)),
    plainArray(movements.map(({ units }) => units)),
    plainArray(movements.map(({ ledgerSeq }) => ledgerSeq ?? 'NULL')),
    plainArray(movements.map((movement) => clientIdOf(movement) ?? 'NULL')),
    plainArray(house.map(({ asset }) => asset)),
    plainArray(house.map(({ charged }) => charged)),
    plainArray(house.map(({ taken }) => taken)),
  );
  return { after: after.portion, columns };
}

/** Writes the portion's rows onto the head it was made for; false if the engine is settled elsewhere by now. */
export async function recordPortion(tx: Tx, { after, columns }: PortionRows): Promise<boolean> {
  const { rows } = await tx.query<{ before: string }>({
    name: 'matching-record-portion',
    text: `SELECT matching.record_portion($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
             $20, $21, $22, $23, $24, $25, $26, $27, $28, $29) AS before`,
    values: [...columns],
  });
  return BigInt(rows[0]?.before ?? -1) === after;
}
