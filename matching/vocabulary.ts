/** The words of the engine. The position of a word in its list is its number in commands, events and snapshots: only ever append. */

/** Of SEMANTICS.md. A journal written under another one is refused. */
export const semanticsVersion = 1;

export const commandKinds = [
  'open-account',
  'credit',
  'debit',
  'place',
  'amend',
  'cancel',
  'cancel-all',
  'set-account',
  'set-market',
  'set-band',
] as const;
export type CommandKind = (typeof commandKinds)[number];

export const sides = ['buy', 'sell'] as const;
export type Side = (typeof sides)[number];

export const orderTypes = ['limit', 'market', 'stop', 'stop-limit'] as const;
export type OrderType = (typeof orderTypes)[number];

export const timesInForce = ['gtc', 'ioc', 'fok'] as const;
export type TimeInForce = (typeof timesInForce)[number];

export const selfTradeModes = ['cancel-taker', 'cancel-maker', 'cancel-both', 'decrement'] as const;
export type SelfTradeMode = (typeof selfTradeModes)[number];

export const marketStates = ['closed', 'auction', 'open', 'halted'] as const;
export type MarketState = (typeof marketStates)[number];

export const eventKinds = [
  'rejected',
  'account-opened',
  'credited',
  'debited',
  'account-set',
  'market-set',
  'band-set',
  'accepted',
  'trade',
  'rested',
  'amended',
  'decremented',
  'waiting',
  'triggered',
  'done',
  'cancelled-all',
] as const;
export type EventKind = (typeof eventKinds)[number];

/** Why a command was refused; each is explained in SEMANTICS.md. */
export const rejectReasons = [
  'unknown-account',
  'unknown-asset',
  'unknown-market',
  'unknown-order',
  'unknown-tier',
  'account-exists',
  'capacity',
  'invalid-amount',
  'duplicate-transfer',
  'overflow',
  'insufficient-balance',
  'account-blocked',
  'invalid-order',
  'rate-limit',
  'market-closed',
  'not-in-auction',
  'duplicate-client-id',
  'invalid-lots',
  'invalid-price',
  'outside-band',
  'invalid-trigger',
  'would-trigger',
  'value-limit',
  'open-order-limit',
  'no-liquidity',
  'not-fillable',
  'would-cross',
  'already-filled',
  'wrong-state',
] as const;
export type RejectReason = (typeof rejectReasons)[number];

/** Why an order left the engine with lots unfilled. */
export const doneReasons = [
  'cancelled',
  'immediate',
  'collar',
  'budget',
  'no-liquidity',
  'self-trade',
  'decremented',
  'outside-band',
] as const;
export type DoneReason = (typeof doneReasons)[number];
