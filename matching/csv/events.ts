/** Events as lines of CSV: one row each, one set of columns for all kinds. */
import { stringify } from 'csv-stringify/sync';
import type { EngineConfig } from '../config.ts';
import type { EngineEvent } from '../events.ts';

type Meeting = Extract<EngineEvent, { kind: 'trade' | 'decremented' }>;
/** Of an event of two orders, what is said of neither alone; named one by one, as a copy of "all but" takes as long as the line. */
type Shared<K extends Meeting['kind']> = Omit<Extract<Meeting, { kind: K }>, 'taker' | 'maker'>;

function sharedOf(event: Meeting): Shared<'trade'> | Shared<'decremented'> {
  const { seq, index, market, price, lots, side } = event;
  if (event.kind === 'decremented') return { seq, index, kind: event.kind, market, price, lots, side };
  const { kind, timeMs, auction } = event;
  return { seq, index, kind, timeMs, market, price, lots, side, auction };
}

/** Cells of a trade or decrement: the taker's under the names every order event has, the maker's beside them. */
function flat(event: EngineEvent) {
  if (event.kind !== 'trade' && event.kind !== 'decremented') return event;
  const { taker, maker } = event;
  return {
    ...sharedOf(event),
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

export const eventHeader = stringify([[...eventColumns]]);

/** As it stands in a line: in quotes where it has to be. */
const cellOf = (id: string): string => stringify([[id]], { record_delimiter: '' });

/** Lines of events. Words and numbers need no quotes, so only the ids of the configuration are looked at, once. */
export class EventLines {
  readonly #ids: Readonly<Record<'market' | 'asset', readonly string[]>>;

  constructor({ markets, assets }: EngineConfig) {
    this.#ids = { market: markets.map(({ id }) => cellOf(id)), asset: assets.map(({ id }) => cellOf(id)) };
  }

  /** With its line break. */
  line(event: EngineEvent): string {
    const cells: Partial<Record<EventColumn, string | number | bigint | boolean>> = flat(event);
    let text = '';
    for (const column of eventColumns) {
      const value = cells[column];
      if (column !== 'seq') text += ',';
      if (value === undefined) continue;
      if (column === 'market' || column === 'asset') text += this.#named(column, value);
      else if (column !== 'account' || value !== -1) text += String(value);
    }
    return `${text}\n`;
  }

  /** A market that does not exist is shown as the number the command had. */
  #named(column: 'market' | 'asset', at: string | number | bigint | boolean): string {
    if (typeof at !== 'number' || at === -1) return '';
    return this.#ids[column][at] ?? `${at}`;
  }
}
