/** SEMANTICS.md: Stops after each command. */
import { describe, expect, test } from 'vitest';
import { Desk } from './desk.ts';

/** Accounts 2 and 3 trade one lot at this price. */
function tradeAt(desk: Desk, price: number): string[] {
  desk.place({ account: 2, side: 'sell', price, lots: 1, as: 'seller' });
  return desk.place({ account: 3, side: 'buy', price, lots: 1, as: 'buyer' });
}
const stopLimit = { type: 'stop-limit' } as const;
const stop = { type: 'stop', timeInForce: 'ioc' } as const;

describe('a stop', () => {
  test('waits with its hold and out of sight', () => {
    const desk = new Desk();
    expect(desk.place({ ...stop, side: 'buy', triggerPrice: 105, budget: 900, as: 'stop' })).toEqual([
      'accepted stop',
      'waiting stop at 105',
    ]);
    expect(desk.book('buy')).toBe('');
    expect(desk.balance(1, 1).held).toBe(900n);
    expect(desk.cancel('stop')).toEqual([expect.stringMatching('done stop cancelled')]);
    expect(desk.balance(1, 1).held).toBe(0n);
  });

  test('is triggered by the trade that reaches it, and becomes a market order', () => {
    const desk = new Desk();
    desk.place({ account: 2, side: 'sell', price: 106, lots: 4, as: 'ask' });
    desk.place({ ...stop, side: 'buy', triggerPrice: 105, budget: 990, lots: 2, as: 'stop' });
    expect(tradeAt(desk, 104).slice(1)).toEqual(['trade buyer seller 1@104 left 0 0']);
    expect(tradeAt(desk, 105).slice(1)).toEqual([
      'trade buyer seller 1@105 left 0 0',
      'triggered stop at 105',
      'trade stop ask 2@106 left 0 2',
    ]);
    expect(desk.balance(1, 1)).toEqual({ available: 1_000_000n - 636n, held: 0n });
  });

  test('that finds nobody ends', () => {
    const desk = new Desk();
    desk.place({ ...stop, side: 'sell', triggerPrice: 95, lots: 2, as: 'stop' });
    expect(tradeAt(desk, 95).slice(2)).toEqual(['triggered stop at 95', 'done stop no-liquidity 2']);
  });

  test('with a limit becomes a limit order that rests', () => {
    const desk = new Desk();
    desk.place({ ...stopLimit, side: 'sell', triggerPrice: 95, price: 96, lots: 2, as: 'stop' });
    expect(tradeAt(desk, 95).slice(2)).toEqual(['triggered stop at 95', 'rested stop 2@96 shows 2']);
    expect(desk.book('sell')).toBe('2@96');
  });

  test('with a limit outside the band by now ends', () => {
    const desk = new Desk();
    desk.place({ ...stopLimit, side: 'buy', triggerPrice: 104, price: 109, lots: 2, as: 'stop' });
    desk.submit({ kind: 'set-band', market: 0, low: 90, high: 108 });
    expect(tradeAt(desk, 104).slice(2)).toEqual(['triggered stop at 104', 'done stop outside-band 2']);
    expect(desk.balance(1, 1).held).toBe(0n);
  });

  test('goes before others by side, then by trigger, then by age', () => {
    const desk = new Desk();
    tradeAt(desk, 100);
    const rest = { ...stopLimit, lots: 1 } as const;
    desk.place({ ...rest, side: 'sell', triggerPrice: 98, price: 108, as: 'sell 98' });
    desk.place({ ...rest, side: 'sell', triggerPrice: 99, price: 108, as: 'sell 99' });
    desk.place({ ...rest, side: 'buy', triggerPrice: 104, price: 91, as: 'buy 104' });
    desk.place({ ...rest, side: 'buy', triggerPrice: 103, price: 91, as: 'buy 103' });
    desk.place({ ...rest, side: 'buy', triggerPrice: 103, price: 91, as: 'buy 103 later' });
    const names = (events: string[]) => events.flatMap((line) => /^triggered (.*) at/.exec(line)?.[1] ?? []);
    expect(names(tradeAt(desk, 105))).toEqual(['buy 103', 'buy 103 later', 'buy 104']);
    expect(names(tradeAt(desk, 97))).toEqual(['sell 99', 'sell 98']);
  });

  test('may trigger the next one', () => {
    const desk = new Desk();
    desk.place({ account: 2, side: 'sell', price: 102, lots: 1, as: 'ask' });
    desk.place({ account: 2, side: 'sell', price: 104, lots: 1, as: 'far' });
    desk.place({ ...stop, side: 'buy', triggerPrice: 101, budget: 900, lots: 1, as: 'one' });
    desk.place({ ...stop, side: 'buy', triggerPrice: 102, budget: 900, lots: 1, as: 'two' });
    expect(tradeAt(desk, 101).slice(2)).toEqual([
      'triggered one at 101',
      'trade one ask 1@102 left 0 0',
      'triggered two at 102',
      'trade two far 1@104 left 0 0',
    ]);
  });

  test('waits in every state but open, and is looked at when the market opens', () => {
    const desk = new Desk();
    desk.setMarket('auction');
    expect(
      desk.place({ ...stopLimit, side: 'buy', triggerPrice: 101, price: 100, lots: 1, as: 'stop' }),
    ).toEqual(['accepted stop', 'waiting stop at 101']);
    desk.place({ account: 2, side: 'sell', price: 101, lots: 1, as: 'seller' });
    desk.place({ account: 3, side: 'buy', price: 101, lots: 1, as: 'buyer' });
    expect(desk.setMarket('halted')).toEqual(['halted']);
    expect(desk.setMarket('closed')).toEqual(['trade buyer seller 1@101 left 0 0', 'closed']);
    expect(desk.setMarket('open')).toEqual(['open', 'triggered stop at 101', 'rested stop 1@100 shows 1']);
  });

  test('of a market without a last price is triggered by nothing, and none is refused for it', () => {
    const desk = new Desk();
    desk.place({ ...stop, side: 'sell', triggerPrice: 110, lots: 1, as: 'far above' });
    desk.place({ ...stopLimit, side: 'buy', triggerPrice: 90, price: 95, lots: 1, as: 'far below' });
    // Two orders of an account give no trade, so no price.
    desk.place({ side: 'sell', price: 100, lots: 1 });
    desk.place({ side: 'buy', price: 100, lots: 1, selfTrade: 'decrement' });
    desk.setMarket('halted');
    expect(desk.setMarket('open')).toEqual(['open']);
    // Both sides at once: buys first, whatever is older.
    expect(tradeAt(desk, 100).slice(2)).toEqual([
      'triggered far below at 90',
      'rested far below 1@95 shows 1',
      'triggered far above at 110',
      'done far above self-trade 1',
    ]);
  });

  test('waits on when the one before has moved the price back', () => {
    const desk = new Desk();
    tradeAt(desk, 100);
    desk.place({ ...stop, side: 'sell', triggerPrice: 97, lots: 1, as: 'first' });
    desk.place({ ...stop, side: 'sell', triggerPrice: 96, lots: 1, as: 'second' });
    desk.place({ account: 2, side: 'sell', price: 95, lots: 1, as: 'low' });
    desk.place({ account: 2, side: 'buy', price: 94, lots: 1, as: 'bid 94' });
    // It takes the ask at 95, and its rest is the best bid when the first stop comes.
    expect(desk.place({ account: 3, side: 'buy', price: 99, lots: 2, as: 'taker' }).slice(1)).toEqual([
      'trade taker low 1@95 left 1 0',
      'rested taker 1@99 shows 1',
      'triggered first at 97',
      'trade first taker 1@99 left 0 0',
    ]);
    expect(desk.fast.engine.openOrders).toBe(2);
  });

  test('of the sells goes by age at the same trigger', () => {
    const desk = new Desk();
    tradeAt(desk, 100);
    for (const as of ['older', 'newer'])
      desk.place({ ...stopLimit, side: 'sell', triggerPrice: 98, price: 108, lots: 1, as });
    desk.amend('older', { lots: 3 });
    expect(tradeAt(desk, 98).slice(2)).toEqual([
      'triggered older at 98',
      'rested older 3@108 shows 3',
      'triggered newer at 98',
      'rested newer 1@108 shows 1',
    ]);
  });

  test('keeps to the collar, the band, its budget and its self-trade mode like a new order', () => {
    const desk = new Desk();
    desk.place({ account: 2, side: 'sell', price: 102, lots: 1, as: 'near' });
    desk.place({ account: 2, side: 'sell', price: 109, lots: 1, as: 'far' });
    desk.place({ ...stop, side: 'buy', triggerPrice: 101, budget: 900, as: 'collared' });
    // 4 percent of 102 is 4.08.
    expect(tradeAt(desk, 101).slice(2)).toEqual([
      'triggered collared at 101',
      'trade collared near 1@102 left 39 0',
      'done collared collar 39',
    ]);
    desk.place({ side: 'sell', price: 104, lots: 2, as: 'own' });
    const mode = { selfTrade: 'cancel-maker' } as const;
    desk.place({ ...stop, ...mode, side: 'buy', triggerPrice: 103, budget: 900, lots: 1, as: 'mode' });
    expect(tradeAt(desk, 103).slice(2)).toEqual([
      'triggered mode at 103',
      'done own self-trade 2',
      'done mode collar 1',
    ]);
    desk.place({ ...stop, side: 'buy', triggerPrice: 104, budget: 320, as: 'poor' });
    expect(tradeAt(desk, 104).slice(2)).toEqual(['triggered poor at 104', 'done poor budget 40']);
    expect(desk.balance(1, 1).held).toBe(0n);
  });

  test('that was triggered is the same order: id, client order id and hold', () => {
    const desk = new Desk();
    const named = { clientOrderId: 9n, as: 'stop' };
    desk.place({ ...stopLimit, ...named, side: 'buy', triggerPrice: 101, price: 100, lots: 2 });
    tradeAt(desk, 101);
    expect(desk.balance(1, 1).held).toBe(600n);
    expect(desk.told(desk.submit({ kind: 'amend', account: 1, clientOrderId: 9n, price: 99 }))).toEqual([
      'amended stop 2@99 lost',
      'rested stop 2@99 shows 2',
    ]);
    expect(desk.cancel('stop')).toEqual(['done stop cancelled 2']);
  });

  test('of an account that was blocked since goes on, like its orders', () => {
    const desk = new Desk();
    desk.place({ ...stopLimit, side: 'buy', triggerPrice: 101, price: 100, lots: 2, as: 'stop' });
    desk.submit({ kind: 'set-account', account: 1, blocked: true, feeTier: 0 });
    expect(tradeAt(desk, 101).slice(2)).toEqual(['triggered stop at 101', 'rested stop 2@100 shows 2']);
  });

  test('is looked at after an auction with the price that it gave', () => {
    const desk = new Desk();
    desk.setMarket('auction');
    desk.place({ ...stop, side: 'sell', triggerPrice: 99, lots: 3, as: 'stop' });
    desk.place({ account: 2, side: 'sell', price: 99, lots: 1, as: 'seller' });
    desk.place({ account: 3, side: 'buy', price: 99, lots: 3, as: 'buyer' });
    expect(desk.setMarket('open')).toEqual([
      'trade buyer seller 1@99 left 2 0',
      'open',
      'triggered stop at 99',
      'trade stop buyer 2@99 left 1 0',
      'done stop no-liquidity 1',
    ]);
  });
});
