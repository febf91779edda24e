/** What becomes of one account: its orders, fills and balances since it was last told. */
import type { Id } from '#core/ids';
import type { EngineConfig } from '../../config.ts';
import type { EngineEvent } from '../../events.ts';
import type { EngineView } from '../../link/types.ts';
import type { DoneReason } from '../../vocabulary.ts';
import type { AccountChange, AccountSnapshot, SpotBalance } from '../contract.ts';
import type { MarketScale, Scales } from '../scale.ts';
import { clientOrderIdText, fillView, orderView, type TradeEvent, type TradeRole } from '../views.ts';

/** What the event of an order's end does not say. */
interface KnownOrder {
  readonly clientOrderId: bigint;
  /** Lots. */
  filled: number;
}
type Change =
  | { readonly kind: 'fill'; readonly trade: TradeEvent; readonly role: TradeRole }
  | {
      readonly kind: 'ended';
      readonly order: number;
      readonly clientOrderId: bigint;
      readonly market: number;
      readonly reason: DoneReason | null;
      readonly filled: number;
      readonly rest: number;
    }
  | { readonly kind: 'order'; readonly order: number; readonly market: number };
interface Balance {
  readonly available: bigint;
  readonly held: bigint;
}
const nothing: Balance = { available: 0n, held: 0n };
const roles = ['taker', 'maker'] as const;

const marketScaleOf = ({ markets }: Scales, market: number): MarketScale => {
  const scale = markets[market];
  if (scale === undefined) throw new RangeError(`market ${market} of ${markets.length}`);
  return scale;
};

export class AccountWatch {
  readonly number: number;
  readonly #config: EngineConfig;
  readonly #orders = new Map<number, KnownOrder>();
  /** As last told; those of nothing left out. */
  readonly #told = new Map<number, Balance>();
  /** In order; undefined where a later change of the same order stands for it. */
  #changes: (Change | undefined)[] = [];
  /** Where in `#changes` an order stands that is open. */
  readonly #open = new Map<number, number>();
  readonly #assets = new Set<number>();

  constructor(number: number, config: EngineConfig) {
    this.number = number;
    this.#config = config;
  }

  /** As the account is now; changes before it are not told. */
  begin(view: EngineView): void {
    this.#forgetChanges();
    this.#orders.clear();
    this.#told.clear();
    for (const { id, clientOrderId, filled } of view.ordersOf(this.number, 0, this.#config.limits.openOrders))
      this.#orders.set(id, { clientOrderId, filled });
    for (const asset of this.#config.assets.keys()) this.#keep(asset, view.balance(this.number, asset));
  }

  get isChanged(): boolean {
    return this.#changes.length > 0 || this.#assets.size > 0;
  }
  get changeCount(): number {
    return this.#changes.length;
  }

  see(event: EngineEvent): void {
    switch (event.kind) {
      case 'credited':
      case 'debited':
        this.#assets.add(event.asset);
        return;
      case 'accepted':
        this.#orders.set(event.order, { clientOrderId: event.clientOrderId, filled: 0 });
        this.#touchAssets(event.market);
        return;
      case 'rested':
      case 'waiting':
      case 'amended':
        this.#touch(event.order, event.market);
        this.#touchAssets(event.market);
        return;
      case 'decremented':
        // Both are the account's. One that is left without lots ends with its own event.
        for (const role of roles) this.#touch(event[role].order, event.market);
        this.#touchAssets(event.market);
        return;
      case 'trade':
        for (const role of roles) if (event[role].account === this.number) this.#fill(event, role);
        this.#touchAssets(event.market);
        return;
      case 'done':
        this.#end(event.order, event.market, event.reason, event.rest);
        this.#touchAssets(event.market);
        return;
      case 'rejected':
      case 'account-opened':
      case 'account-set':
      case 'market-set':
      case 'band-set':
      case 'triggered':
      case 'cancelled-all':
        return;
    }
  }

  /** What has changed since it was last asked for, orders and balances as they are in the view. */
  take(view: EngineView, accountId: Id<'acc'>, scales: Scales): AccountChange[] {
    const changes: AccountChange[] = [];
    for (const change of this.#changes) {
      const shown = change === undefined ? undefined : this.#show(change, view, accountId, scales);
      if (shown !== undefined) changes.push(shown);
    }
    for (const asset of [...this.#assets].sort((a, b) => a - b)) {
      const balance = view.balance(this.number, asset);
      const told = this.#told.get(asset) ?? nothing;
      if (balance.available === told.available && balance.held === told.held) continue;
      this.#keep(asset, balance);
      changes.push({ kind: 'balance', balance: balanceView(scales, asset, balance) });
    }
    this.#forgetChanges();
    return changes;
  }

  #show(change: Change, view: EngineView, accountId: Id<'acc'>, scales: Scales): AccountChange | undefined {
    if (change.kind === 'fill') {
      const scale = marketScaleOf(scales, change.trade.market);
      return { kind: 'fill', fill: fillView(change.trade, change.role, scale, accountId) };
    }
    const scale = marketScaleOf(scales, change.market);
    if (change.kind === 'order') {
      const order = view.order({ account: this.number, id: change.order });
      return order === undefined ? undefined : { kind: 'order', order: orderView(order, scale, accountId) };
    }
    return {
      kind: 'order-ended',
      orderId: change.order.toString(),
      clientOrderId: clientOrderIdText(change.clientOrderId),
      market: scale.id,
      doneReason: change.reason,
      filled: scale.size(change.filled),
      remaining: scale.size(change.rest),
    };
  }

  #fill(trade: TradeEvent, role: TradeRole): void {
    const { order, rest } = trade[role];
    const known = this.#orders.get(order);
    if (known !== undefined) known.filled += trade.lots;
    this.#changes.push({ kind: 'fill', trade, role });
    if (rest === 0) this.#end(order, trade.market, null, 0);
    else this.#touch(order, trade.market);
  }
  #touch(order: number, market: number): void {
    this.#untouch(order);
    this.#open.set(order, this.#changes.length);
    this.#changes.push({ kind: 'order', order, market });
  }
  #untouch(order: number): void {
    const at = this.#open.get(order);
    if (at !== undefined) this.#changes[at] = undefined;
  }
  #end(order: number, market: number, reason: DoneReason | null, rest: number): void {
    this.#untouch(order);
    this.#open.delete(order);
    const known = this.#orders.get(order);
    this.#orders.delete(order);
    const { clientOrderId = 0n, filled = 0 } = known ?? {};
    this.#changes.push({ kind: 'ended', order, clientOrderId, market, reason, filled, rest });
  }
  #touchAssets(market: number): void {
    const found = this.#config.markets[market];
    if (found !== undefined) this.#assets.add(found.base).add(found.quote);
  }
  #keep(asset: number, balance: Balance): void {
    if (balance.available === 0n && balance.held === 0n) this.#told.delete(asset);
    else this.#told.set(asset, balance);
  }
  #forgetChanges(): void {
    this.#changes = [];
    this.#open.clear();
    this.#assets.clear();
  }
}

const balanceView = ({ assets }: Scales, asset: number, { available, held }: Balance): SpotBalance => {
  const scale = assets[asset];
  if (scale === undefined) throw new RangeError(`asset ${asset} of ${assets.length}`);
  return { asset: scale.id, available: scale.amount(available), held: scale.amount(held) };
};

/** Of an account that the engine does not know: nothing. Balances of nothing are left out. */
export function accountSnapshot(
  view: EngineView,
  number: number | undefined,
  accountId: Id<'acc'>,
  scales: Scales,
  ordersMax: number,
): AccountSnapshot {
  const at = { accountId, seq: view.seq, timeMs: view.timeMs };
  if (number === undefined) return { ...at, orders: [], balances: [] };
  return {
    ...at,
    orders: view
      .ordersOf(number, 0, ordersMax)
      .map((order) => orderView(order, marketScaleOf(scales, order.market), accountId)),
    balances: scales.assets
      .map(({ no }) => ({ no, balance: view.balance(number, no) }))
      .filter(({ balance }) => balance.available > 0n || balance.held > 0n)
      .map(({ no, balance }) => balanceView(scales, no, balance)),
  };
}
