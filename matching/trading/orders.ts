/** Orders: placed, amended, cancelled, read. What is open is read from the view, which is the engine's state. */
import { invariant } from '#core/errors';
import type { CommandBody } from '../commands.ts';
import type { OpenOrder, OrderQuestion } from '../engine/index.ts';
import type { EngineEvent } from '../events.ts';
import type { TradingAccounts } from './accounts.ts';
import { type EngineCommands, takenEvent } from './commands.ts';
import {
  type NewOrder,
  type OrderName,
  type OrderOutcome,
  type TradingOperations,
  tradingLimits,
} from './contract.ts';
import { clashOf, explain } from './explanations.ts';
import { orderQuestion, parseOrderId, placeFields } from './order-fields.ts';
import { type Explanation, rejection } from './rejections.ts';
import type { MarketScale, Scales } from './scale.ts';
import { orderView, outcomeOf } from './views.ts';

export type OrderOperations = Pick<
  TradingOperations,
  'place' | 'placeAll' | 'amend' | 'cancel' | 'cancelEach' | 'cancelAll' | 'openOrders' | 'order'
>;
export interface OrderContext {
  readonly commands: EngineCommands;
  readonly scales: Scales;
  readonly accounts: TradingAccounts;
}

interface PreparedOrder {
  readonly command: Extract<CommandBody, { kind: 'place' }>;
  readonly order: NewOrder;
  readonly scale: MarketScale;
}

interface PreparedCancel {
  readonly name: OrderName;
  readonly question: OrderQuestion;
}
/** What the event of an order's end does not say. */
interface KnownOrder {
  readonly clientOrderId: bigint;
  readonly lots: number;
}

class Orders implements OrderOperations {
  readonly #commands: EngineCommands;
  readonly #scales: Scales;
  readonly #accounts: TradingAccounts;

  constructor({ commands, scales, accounts }: OrderContext) {
    this.#commands = commands;
    this.#scales = scales;
    this.#accounts = accounts;
  }

  async place(order: NewOrder): Promise<OrderOutcome> {
    const prepared = await this.#prepare(order);
    return this.#placed(prepared, await this.#commands.submit(prepared.command));
  }

  async placeAll(orders: readonly NewOrder[]): Promise<readonly (OrderOutcome | Error)[]> {
    invariant(orders.length <= tradingLimits.batchOrders, 'the api bounds a batch', {
      orders: orders.length,
    });
    const prepared = await Promise.all(
      orders.map(async (order) => await this.#prepare(order).catch(refusalOf)),
    );
    const valid = prepared.filter((one): one is PreparedOrder => !(one instanceof Error));
    const answers =
      valid.length === 0 ? [] : await this.#commands.submitAll(valid.map(({ command }) => command));
    const answerOf = new Map(valid.map((one, at) => [one, answers[at] ?? []]));
    return prepared.map((one) => {
      if (one instanceof Error) return one;
      try {
        return this.#placed(one, answerOf.get(one) ?? []);
      } catch (error) {
        return refusalOf(error);
      }
    });
  }

  async amend(
    name: OrderName,
    change: { readonly price?: string; readonly size?: string },
  ): Promise<OrderOutcome> {
    const { order, scale } = await this.#open(name);
    const { account, id } = order;
    const clientOrderId = name.clientOrderId;
    const price = change.price === undefined ? undefined : scale.ticks(change.price);
    const lots = change.size === undefined ? undefined : scale.lots(change.size);
    if (price === undefined && lots === undefined)
      throw rejection('invalid-order', { market: scale.id, clientOrderId, explanation: nothingAsked });
    const events = await this.#commands.submit({
      kind: 'amend',
      account,
      orderId: id,
      ...(price === undefined ? {} : { price }),
      ...(lots === undefined ? {} : { lots }),
    });
    takenEvent(events, this.#scales, clientOrderId, (reason) =>
      reason === 'invalid-order'
        ? amendClash(order, change)
        : explain(reason, { asked: change, side: order.side, account, scale, view: this.#commands.view() }),
    );
    return outcomeOf(
      events,
      { ...order, accountId: name.accountId, lots: lots ?? order.filled + order.rest },
      scale,
    );
  }

  async cancel(name: OrderName): Promise<OrderOutcome> {
    const [outcome] = await this.cancelEach([name]);
    invariant(outcome !== undefined, 'each name has an answer');
    if (outcome instanceof Error) throw outcome;
    return outcome;
  }

  async cancelEach(names: readonly OrderName[]): Promise<readonly (OrderOutcome | Error)[]> {
    invariant(names.length <= tradingLimits.batchOrders, 'the api bounds a batch', { names: names.length });
    const asked = await Promise.all(
      names.map(async (name) => await this.#prepareCancel(name).catch(refusalOf)),
    );
    const valid = asked.filter((one): one is PreparedCancel => !(one instanceof Error));
    const before = this.#openOf(valid);
    const watch = this.#watchArrivals(valid.filter((one) => !before.has(one)));
    let answers: readonly (readonly EngineEvent[])[];
    try {
      const commands = valid.map((one) => cancelCommand(one, before.get(one)));
      answers = commands.length === 0 ? [] : await this.#commands.submitAll(commands);
    } finally {
      watch.end();
    }
    const answerOf = new Map(valid.map((one, at) => [one, answers[at] ?? []]));
    return asked.map((one) => {
      if (one instanceof Error) return one;
      try {
        const events = answerOf.get(one) ?? [];
        const [done] = events;
        const arrived = done?.kind === 'done' ? watch.arrived.get(done.order) : undefined;
        return this.#cancelled(one, events, before.get(one) ?? arrived);
      } catch (error) {
        return refusalOf(error);
      }
    });
  }
  async #prepareCancel(name: OrderName): Promise<PreparedCancel> {
    const question = orderQuestion(name, 0);
    const account = await this.#accounts.numberOf(name.accountId);
    if (account === undefined) throw rejection('unknown-order', { clientOrderId: name.clientOrderId });
    return { name, question: { ...question, account } };
  }
  /** Those that the view has. */
  #openOf(
    asked: readonly PreparedCancel[],
  ): ReadonlyMap<PreparedCancel, KnownOrder & { readonly id: number }> {
    if (asked.length === 0) return new Map();
    const view = this.#commands.view();
    return new Map(
      asked.flatMap((one) => {
        const order = view.order(one.question);
        if (order === undefined) return [];
        const { id, clientOrderId, filled, rest } = order;
        return [[one, { id, clientOrderId, lots: filled + rest }] as const];
      }),
    );
  }
  /** Those the view does not have may be on their way into the engine: sent, but not answered yet. So their arrival is watched for. */
  #watchArrivals(unseen: readonly PreparedCancel[]): {
    readonly arrived: ReadonlyMap<number, KnownOrder>;
    readonly end: () => void;
  } {
    const arrived = new Map<number, KnownOrder>();
    if (unseen.length === 0) return { arrived, end: () => undefined };
    const accounts = new Set(unseen.map(({ question }) => question.account));
    const end = this.#commands.listen((event) => {
      if (event.kind === 'accepted' && accounts.has(event.account)) arrived.set(event.order, event);
    });
    return { arrived, end };
  }
  #cancelled(
    { name, question }: PreparedCancel,
    events: readonly EngineEvent[],
    known: KnownOrder | undefined,
  ): OrderOutcome {
    const done = takenEvent(events, this.#scales, name.clientOrderId);
    invariant(done.kind === 'done', 'a cancel that is taken ends an order', { seq: done.seq });
    const { clientOrderId, lots } = known ?? {
      clientOrderId: question.clientOrderId ?? 0n,
      lots: done.rest,
    };
    return outcomeOf(
      events,
      { id: done.order, accountId: name.accountId, clientOrderId, waiting: false, lots },
      this.#marketOf(done),
    );
  }

  async cancelAll(
    options: Parameters<OrderOperations['cancelAll']>[0],
  ): Promise<{ readonly cancelled: number }> {
    const market = options.market === undefined ? undefined : this.#scales.market(options.market).no;
    const account = await this.#accounts.numberOf(options.accountId);
    if (account === undefined) return { cancelled: 0 };
    const events = await this.#commands.submit({
      kind: 'cancel-all',
      account,
      ...(market === undefined ? {} : { market }),
    });
    takenEvent(events, this.#scales);
    const last = events.at(-1);
    invariant(last?.kind === 'cancelled-all', 'a cancel-all that is taken says how many', { account });
    return { cancelled: last.count };
  }

  async openOrders(
    options: Parameters<OrderOperations['openOrders']>[0],
  ): Promise<ReturnType<typeof orderView>[]> {
    const { accountId, market, after } = options;
    const only = market === undefined ? undefined : this.#scales.market(market);
    const afterId = after === undefined ? 0 : parseOrderId(after);
    const limit = Math.min(options.limit, tradingLimits.pageRows);
    const account = await this.#accounts.numberOf(accountId);
    if (account === undefined) return [];
    const view = this.#commands.view();
    // Of one market: all that the account has, which its limit of open orders bounds.
    const max = only === undefined ? limit : (view.account(account)?.openOrders ?? 0);
    return view
      .ordersOf(account, afterId, max)
      .filter((order) => only === undefined || order.market === only.no)
      .slice(0, limit)
      .map((order) => orderView(order, this.#marketOf(order), accountId));
  }

  async order(name: OrderName): Promise<ReturnType<typeof orderView>> {
    const { order, scale } = await this.#open(name);
    return orderView(order, scale, name.accountId);
  }

  /** Fields are looked at first: what is wrong in any case is said whoever sent it. */
  async #prepare(order: NewOrder): Promise<PreparedOrder> {
    const scale = this.#scales.market(order.market);
    const fields = placeFields(order, scale);
    const account = await this.#accounts.numberOf(order.accountId);
    if (account === undefined)
      throw rejection('insufficient-balance', {
        market: scale.id,
        clientOrderId: order.clientOrderId,
        explanation: neverFunded,
      });
    return { command: { kind: 'place', account, ...fields }, order, scale };
  }
  #placed({ order, scale, command }: PreparedOrder, events: readonly EngineEvent[]): OrderOutcome {
    const accepted = takenEvent(events, this.#scales, order.clientOrderId, (reason) =>
      reason === 'invalid-order'
        ? clashOf(order)
        : explain(reason, {
            asked: order,
            side: order.side,
            account: command.account,
            scale,
            view: this.#commands.view(),
          }),
    );
    invariant(accepted.kind === 'accepted', 'a placed order is accepted or rejected', { seq: accepted.seq });
    return outcomeOf(
      events,
      {
        id: accepted.order,
        accountId: order.accountId,
        clientOrderId: command.clientOrderId ?? 0n,
        waiting: false,
        lots: accepted.lots,
      },
      scale,
    );
  }
  /** The view has every command that this process had an answer to. @throws TRADING_ORDER_UNKNOWN */
  async #open(name: OrderName): Promise<{ readonly order: OpenOrder; readonly scale: MarketScale }> {
    const question = orderQuestion(name, 0);
    const account = await this.#accounts.numberOf(name.accountId);
    const view = this.#commands.view();
    const order = account === undefined ? undefined : view.order({ ...question, account });
    if (order === undefined) throw rejection('unknown-order', { clientOrderId: name.clientOrderId });
    return { order, scale: this.#marketOf(order) };
  }
  #marketOf({ market }: { readonly market: number }): MarketScale {
    const scale = this.#scales.markets[market];
    invariant(scale !== undefined, 'an open order is in a market of the configuration', { market });
    return scale;
  }
}

function cancelCommand(
  { question: { account, id, clientOrderId } }: PreparedCancel,
  open: { readonly id: number } | undefined,
): Extract<CommandBody, { kind: 'cancel' }> {
  if (open !== undefined) return { kind: 'cancel', account, orderId: open.id };
  return {
    kind: 'cancel',
    account,
    ...(id === undefined ? {} : { orderId: id }),
    ...(clientOrderId === undefined ? {} : { clientOrderId }),
  };
}

const neverFunded: Explanation = {
  why: 'The account has never had any: move some from main to spot (PUT /v1/spot-transfers).',
  fields: ['accountId'],
};
const nothingAsked: Explanation = { why: 'Give `price`, `size` or both.', fields: ['price', 'size'] };
function amendClash({ budget, waiting }: OpenOrder, { price }: { readonly price?: string }): Explanation {
  if (budget > 0)
    return { why: 'An order with a `budget` cannot be amended: cancel it.', fields: ['orderId'] };
  if (waiting && price !== undefined)
    return { why: 'A stop that waits keeps its `price`: cancel it, and place another.', fields: ['price'] };
  return { why: 'It has this `price` and `size` already.', fields: ['price', 'size'] };
}

/** The answer to one order of a batch. What is no error of ours concerns all of it. */
function refusalOf(error: unknown): Error {
  if (!(error instanceof Error) || error.name !== 'StrongroomError') throw error;
  return error;
}

export const createOrders = (context: OrderContext): OrderOperations => new Orders(context);
