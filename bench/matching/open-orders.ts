/** Which orders rest, as their events tell; any of them can be drawn. */
import type { EngineEvent, Side } from '../../matching/contract.ts';

export interface OpenOrder {
  readonly id: number;
  readonly account: number;
  readonly side: Side;
  readonly price: number;
  rest: number;
}

export class OpenOrders {
  readonly #orders: OpenOrder[] = [];
  readonly #places = new Map<number, number>();

  get count(): number {
    return this.#orders.length;
  }

  /** @param random 0 to below 1 */
  any(random: number): OpenOrder {
    const order = this.#orders[Math.floor(random * this.#orders.length)];
    if (order === undefined) throw new RangeError('no order rests');
    return order;
  }

  follow(event: EngineEvent): void {
    if (event.kind === 'rested')
      this.#set({
        id: event.order,
        account: event.account,
        side: event.side,
        price: event.price,
        rest: event.rest,
      });
    else if (event.kind === 'trade')
      for (const { order, rest } of [event.maker, event.taker]) {
        if (rest === 0) this.#remove(order);
        else this.#reduce(order, rest);
      }
    else if (event.kind === 'done') this.#remove(event.order);
  }

  #set(order: OpenOrder): void {
    const place = this.#places.get(order.id) ?? this.#orders.length;
    this.#places.set(order.id, place);
    this.#orders[place] = order;
  }

  /** A taker that does not rest yet is not here. */
  #reduce(id: number, rest: number): void {
    const order = this.#orders[this.#places.get(id) ?? -1];
    if (order !== undefined) order.rest = rest;
  }

  #remove(id: number): void {
    const place = this.#places.get(id);
    if (place === undefined) return;
    this.#places.delete(id);
    const last = this.#orders.pop();
    if (last === undefined || last.id === id) return;
    this.#orders[place] = last;
    this.#places.set(last.id, place);
  }
}
