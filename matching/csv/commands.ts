/** Lines of a commands file as commands. Sequence numbers, times and positions of credits are given where the file does not. */
import type { Command, CommandBody } from '../commands.ts';
import type { OrderType, TimeInForce } from '../vocabulary.ts';
import { type Row, refuse } from './row.ts';

/** The only one a market order or stop may have, and the usual one of the others. */
const usualTimeInForce: Readonly<Record<OrderType, TimeInForce>> = {
  limit: 'gtc',
  market: 'ioc',
  stop: 'ioc',
  'stop-limit': 'gtc',
};

function placeOf(row: Row): CommandBody {
  const type = row.required('type');
  return {
    kind: 'place',
    account: row.required('account'),
    market: row.required('market'),
    side: row.required('side'),
    type,
    timeInForce: row.read('timeInForce') ?? usualTimeInForce[type],
    postOnly: row.read('postOnly') ?? false,
    price: row.read('price') ?? 0,
    triggerPrice: row.read('triggerPrice') ?? 0,
    lots: row.read('lots') ?? 0,
    ...row.field('displayLots'),
    ...row.field('budget'),
    selfTrade: row.read('selfTrade') ?? 'cancel-taker',
    clientOrderId: row.read('clientOrderId') ?? 0n,
  };
}

/** One field of 64 bits holds either. */
function assertOneExtra(row: Row, body: CommandBody): void {
  if (body.kind === 'place' && body.displayLots !== undefined && body.budget !== undefined)
    refuse(row.line, 'budget', 'an order has displayLots or a budget, not both');
}

/** A column with a wrong name would else be a file of refusals. */
function referenceOf(row: Row) {
  const named = { ...row.field('orderId'), ...row.field('clientOrderId') };
  if (named.orderId === undefined && named.clientOrderId === undefined)
    refuse(row.line, 'orderId', `empty, and clientOrderId too; an order is named by one of them`);
  return { account: row.required('account'), ...named };
}

export class CommandReader {
  #seq = 0;
  #timeMs = 0;
  #position = 0;

  /** @throws MATCHING_CSV_INVALID naming line and column */
  read(row: Row): Command {
    const body = this.#body(row);
    assertOneExtra(row, body);
    const next = this.#seq + 1;
    const seq = row.read('seq') ?? next;
    if (seq !== next)
      refuse(row.line, 'seq', `${seq} where ${next} comes: commands count 1, 2, 3 without a gap`);
    this.#seq = next;
    this.#timeMs = row.read('timeMs') ?? this.#timeMs;
    row.assertRead();
    return Object.assign(body, { seq, timeMs: this.#timeMs });
  }

  #body(row: Row): CommandBody {
    const kind = row.required('kind');
    switch (kind) {
      case 'open-account':
        return { kind, account: row.required('account') };
      case 'credit':
        return { kind, ...this.#transfer(row), position: this.#nextPosition(row) };
      case 'debit':
        return { kind, ...this.#transfer(row), ...row.field('clientOrderId') };
      case 'place':
        return placeOf(row);
      case 'amend':
        return { kind, ...referenceOf(row), ...row.field('price'), ...row.field('lots') };
      case 'cancel':
        return { kind, ...referenceOf(row) };
      case 'cancel-all':
        return { kind, account: row.required('account'), ...row.field('market') };
      case 'set-account':
        return {
          kind,
          account: row.required('account'),
          blocked: row.required('blocked'),
          feeTier: row.required('feeTier'),
        };
      case 'set-market':
        return { kind, market: row.required('market'), state: row.required('state') };
      case 'set-band':
        return { kind, market: row.required('market'), low: row.required('low'), high: row.required('high') };
    }
  }

  #transfer(row: Row) {
    return { account: row.required('account'), asset: row.required('asset'), units: row.required('units') };
  }

  #nextPosition(row: Row): number {
    this.#position = row.read('position') ?? this.#position + 1;
    return this.#position;
  }
}
