/** Events as lines of CSV: one row each, one set of columns for all kinds. */
import { stringify } from 'csv-stringify/sync';
import type { EngineConfig } from '../config.ts';
import type { EngineEvent } from '../events.ts';

/** Cells of a trade or decrement: the taker's under the names every order event has, the maker's beside them. */
function flat(event: EngineEvent) {
  if (event.kind !== 'trade' && event.kind !== 'decremented') return event;
  const { taker, maker, ...shared } = event;
  return {
    ...shared,
    ...taker,
    makerOrder: maker.order,
    makerAccount: maker.account,
    makerRest: maker.rest,
    ...('fee' in maker ? { makerFee: maker.fee } : {}),
  };
}

type KeysOf<T> = T extends unknown ? keyof T : never;
type EventColumn = KeysOf<ReturnType<typeof flat>>;
/** In the order of the file; a record, so that none of an event's fields is forgotten. */
const columns: Readonly<Record<EventColumn, true>> = {
  seq: true,
  index: true,
  kind: true,
  timeMs: true,
  reason: true,
  account: true,
  market: true,
  asset: true,
  units: true,
  position: true,
  order: true,
  clientOrderId: true,
  side: true,
  type: true,
  price: true,
  triggerPrice: true,
  lots: true,
  budget: true,
  visible: true,
  rest: true,
  fee: true,
  makerOrder: true,
  makerAccount: true,
  makerRest: true,
  makerFee: true,
  auction: true,
  priorityKept: true,
  state: true,
  low: true,
  high: true,
  blocked: true,
  feeTier: true,
  count: true,
};
export const eventColumns = Object.keys(columns) as readonly EventColumn[];

type Cell = string | number | bigint | boolean | undefined;
const lists = { market: 'markets', asset: 'assets' } as const;

/** Accounts and markets that do not exist are shown as the number the command had. */
function cellOf(column: EventColumn, value: Cell, config: EngineConfig): Cell {
  if (value === -1 && (column === 'market' || column === 'account')) return undefined;
  if (column !== 'market' && column !== 'asset') return value;
  return typeof value === 'number' ? (config[lists[column]][value]?.id ?? value) : value;
}

const format = { cast: { boolean: (value: boolean) => (value ? 'true' : 'false') } };

export const eventHeader = stringify([[...eventColumns]]);

/** Lines of the events, each with its line break. */
export function eventLines(events: readonly EngineEvent[], config: EngineConfig): string {
  const rows = events.map((event) => {
    const cells: Partial<Record<EventColumn, Cell>> = flat(event);
    return eventColumns.map((column) => cellOf(column, cells[column], config));
  });
  return stringify(rows, format);
}
