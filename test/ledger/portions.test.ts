import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Id } from '#core/ids';
import { amount, assetId } from '#core/money';
import { portionsOf, type TransferCommand } from '#ledger/contract';

const chainLengthMax = 4;
const commandsMax = 5;
const ether = assetId('eip155:31337/slip44:60');

const command = (serial: number, linked: boolean): TransferCommand => ({
  id: `tr_${serial}` as Id<'tr'>,
  kind: 'post',
  debit: 'house:equity',
  credit: 'house:income',
  amount: amount(ether, 1n),
  code: 'float',
  reference: 'test',
  ...(linked ? { linked } : {}),
});

test('no portion is too long, none ends inside a chain, nothing is lost or moved', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: chainLengthMax }), { maxLength: 40 }), (lengths) => {
      let serial = 0;
      const commands = lengths.flatMap((length) =>
        Array.from({ length }, (_, at) => command(serial++, at < length - 1)),
      );
      const portions = portionsOf(commands, commandsMax);
      expect(portions.flat()).toEqual(commands);
      for (const portion of portions) {
        expect(portion.length).toBeGreaterThan(0);
        expect(portion.length).toBeLessThanOrEqual(commandsMax);
        expect(portion.at(-1)?.linked).toBeUndefined();
      }
    }),
  );
});
