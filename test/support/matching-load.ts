/** An engine for tests and what clients send it: a command is a pure function of client and serial, so anyone can say what it was. */

import { createHash } from 'node:crypto';
import { seededRandom } from '../../bench/seeded-random.ts';
import type { Command, CommandBody } from '../../matching/commands.ts';
import { type EngineConfig, parseEngineConfig } from '../../matching/config.ts';
import { plainMarket } from '../../matching/csv/plain-config.ts';
import type { EngineEvent } from '../../matching/events.ts';

const market = {
  ...plainMarket,
  lotUnits: 10,
  maxPrice: 1_000,
  maxOrderLots: 10_000,
  maxOrderValue: 10_000_000,
  collarPpm: 100_000,
  fees: [{ makerPpm: 1_000, takerPpm: 2_000 }],
};
export const loadConfig: EngineConfig = parseEngineConfig({
  assets: [
    { id: 'ledger:eth', unitExponent: 9 },
    { id: 'ledger:usd', unitExponent: 2 },
    { id: 'ledger:btc', unitExponent: 0 },
  ],
  markets: [
    { ...market, id: 'ETH-USD', base: 0 },
    { ...market, id: 'BTC-USD', base: 2 },
  ],
  ordersMax: 20_000,
  accountsMax: 64,
  limits: { openOrders: 10_000, ordersPerSecond: 0 },
  clientIdsKept: 1_000,
});

/** Accounts 1 to `clients`, each with enough of every asset. */
export function openingCommands(clients: number): CommandBody[] {
  const accounts = Array.from({ length: clients }, (_, index) => index + 1);
  return [
    ...accounts.map((account): CommandBody => ({ kind: 'open-account', account })),
    ...accounts.flatMap((account) =>
      loadConfig.assets.map(
        (_, asset): CommandBody => ({
          kind: 'credit',
          account,
          asset,
          units: 1_000_000_000n,
          position: (account - 1) * loadConfig.assets.length + asset + 1,
        }),
      ),
    ),
  ];
}

/** Of account `client` + 1. The client order id tells client and serial, so that a command in a journal tells whose it is. */
export const clientOrderIdOf = (client: number, serial: number): bigint =>
  (BigInt(client + 1) << 40n) | BigInt(serial);

export function loadCommand(client: number, serial: number): CommandBody {
  const next = seededRandom(client * 1_000_003 + serial);
  const whole = (below: number): number => Math.floor(next() * below);
  const account = client + 1;
  const kind = next();
  if (kind < 0.25 && serial > 1)
    return {
      kind: 'cancel',
      account,
      clientOrderId: clientOrderIdOf(client, serial - 1 - whole(Math.min(serial - 1, 8))),
    };
  const base = {
    kind: 'place',
    account,
    market: whole(2),
    side: whole(2) === 0 ? 'buy' : 'sell',
    clientOrderId: clientOrderIdOf(client, serial),
  } as const;
  if (kind < 0.35)
    return { ...base, type: 'market', timeInForce: 'ioc', lots: 1 + whole(50), ...budgetOf(base.side) };
  const limit = {
    ...base,
    type: 'limit',
    timeInForce: 'gtc',
    price: 480 + whole(40),
    lots: 2 + whole(30),
  } as const;
  return kind < 0.45 ? { ...limit, displayLots: 1 } : limit;
}
const budgetOf = (side: 'buy' | 'sell') => (side === 'buy' ? { budget: 1_000_000 } : {});

export const sequenced = (body: CommandBody, seq: number, timeMs: number): Command => ({
  ...body,
  seq,
  timeMs,
});

/** Of events as documents. */
export function eventsDigest(events: readonly EngineEvent[]): string {
  const text = JSON.stringify(events, (_, value: unknown) =>
    typeof value === 'bigint' ? `${value}n` : value,
  );
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
