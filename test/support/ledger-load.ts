/**
 * What the clients of the crash test send: known beforehand for each client, lane and batch, so that a client killed at any
 * moment sends the same again and the test knows the one right outcome.
 */
import { derivedId } from '#core/ids';
import { amount, assetId } from '#core/money';
import { type AccountPath, chainHot, customerMain, type TransferCommand } from '#ledger/contract';

export const lanesPerClient = 4;
export const loadAsset = assetId('eip155:31337/slip44:60');
export const loadMirror = chainHot(derivedId('wal', 'crash'));
/** Few, so that all writers meet on them. */
export const loadAccounts = Array.from({ length: 8 }, (_, index) =>
  customerMain(derivedId('acc', `crash ${index}`)),
);
/** More than all clients can move, so that no command is refused, in whatever order they come. */
export const fundUnits = 10n ** 12n;

const accountOf = (index: number): AccountPath => loadAccounts[index % loadAccounts.length] ?? loadMirror;

export interface BatchName {
  readonly client: string;
  readonly lane: number;
  readonly serial: number;
}

/** A linked pair, a hold that is posted in part, one that is voided, one that stays. */
export function loadBatch({ client, lane, serial }: BatchName): readonly TransferCommand[] {
  const id = (part: string) => derivedId('tr', `crash ${client} ${lane} ${serial} ${part}`);
  const base = { code: 'rebalance', reference: `${client}/${lane}/${serial}` } as const;
  const value = (units: number) => amount(loadAsset, BigInt(units));
  const from = accountOf(serial + lane);
  const to = accountOf(serial + lane + 1 + (serial % (loadAccounts.length - 1)));
  return [
    {
      ...base,
      id: id('out'),
      kind: 'post',
      debit: from,
      credit: to,
      amount: value(1 + (serial % 7)),
      linked: true,
    },
    { ...base, id: id('in'), kind: 'post', debit: loadMirror, credit: from, amount: value(2) },
    { ...base, id: id('paid'), kind: 'pending', debit: to, credit: loadMirror, amount: value(5) },
    { ...base, id: id('void'), kind: 'pending', debit: from, credit: to, amount: value(6), timeoutMs: 1e9 },
    { ...base, id: id('open'), kind: 'pending', debit: from, credit: to, amount: value(1) },
    { ...base, id: id('pay'), kind: 'post-pending', pendingId: id('paid'), amount: value(1 + (serial % 5)) },
    { ...base, id: id('release'), kind: 'void-pending', pendingId: id('void') },
  ];
}
