/**
 * A slot's words would wrap what does not fit them: 2^32 + 1 would be account 1. The engine cannot see that any more, so it is
 * refused before anything is written. What fits and is wrong is the engine's to refuse.
 */
import type { CommandBody } from '../commands.ts';
import { marketStates, orderTypes, selfTradeModes, sides, timesInForce } from '../vocabulary.ts';

const int32Max = 2 ** 31;
const int64Max = 2n ** 63n;
const uint64Max = 2n ** 64n;

type Problem = string | undefined;

function int32(name: string, value: number | undefined): Problem {
  if (value === undefined || (Number.isInteger(value) && value >= -int32Max && value < int32Max))
    return undefined;
  return `${name} ${value} is no whole number of 32 bits`;
}
function int64(name: string, value: bigint): Problem {
  return value >= -int64Max && value < int64Max ? undefined : `${name} ${value} is no number of 64 bits`;
}
function uint64(name: string, value: bigint | undefined): Problem {
  if (value === undefined || (value >= 0n && value < uint64Max)) return undefined;
  return `${name} ${value} is no number from 0 to 2^64 - 1`;
}
function word(name: string, words: readonly string[], value: string | undefined): Problem {
  return value === undefined || words.includes(value)
    ? undefined
    : `${name} ${value} is none of ${words.join(', ')}`;
}

function problemsOf(command: CommandBody): readonly Problem[] {
  switch (command.kind) {
    case 'open-account':
      return [];
    case 'credit':
      return [int32('asset', command.asset), int64('units', command.units)];
    case 'debit':
      return [
        int32('asset', command.asset),
        int64('units', command.units),
        uint64('clientOrderId', command.clientOrderId),
      ];
    case 'place':
      return [
        int32('market', command.market),
        int32('price', command.price),
        int32('triggerPrice', command.triggerPrice),
        uint64('clientOrderId', command.clientOrderId),
        word('side', sides, command.side),
        word('type', orderTypes, command.type),
        word('timeInForce', timesInForce, command.timeInForce),
        word('selfTrade', selfTradeModes, command.selfTrade),
      ];
    case 'amend':
      return [int32('price', command.price), uint64('clientOrderId', command.clientOrderId)];
    case 'cancel':
      return [uint64('clientOrderId', command.clientOrderId)];
    case 'cancel-all':
      return [int32('market', command.market)];
    case 'set-account':
      return [int32('feeTier', command.feeTier)];
    case 'set-market':
      return [int32('market', command.market), word('state', marketStates, command.state)];
    case 'set-band':
      return [int32('market', command.market), int32('low', command.low), int32('high', command.high)];
  }
}

/** @throws RangeError naming the field */
export function assertFits(command: CommandBody): void {
  const account = 'account' in command ? int32('account', command.account) : undefined;
  const problem = account ?? problemsOf(command).find((found) => found !== undefined);
  if (problem !== undefined) throw new RangeError(`${command.kind}: ${problem}`);
}
