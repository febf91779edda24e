/** A journal of every kind of transfer, with the balances noted as they were after each batch. */
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import type { Pool } from '#infra/db';
import type { Ledger } from '#ledger';
import {
  type AccountBalance,
  type AccountPath,
  type AccountRef,
  chainHot,
  customerMain,
  suspense,
  type TransferCommand,
} from '#ledger/contract';
import { accountOf, ether, freshId, pending, post, postPending, voidPending, walletOf } from './fixture.ts';

export interface NotedBatch {
  readonly batch: bigint;
  readonly balances: readonly AccountBalance[];
}

let made = 0;
/** Accounts that no other journal of this process uses. */
export function freshAccounts(): readonly AccountPath[] {
  const name = `past ${++made}`;
  const wallet = walletOf(name);
  return [
    chainHot(wallet),
    suspense(wallet),
    customerMain(accountOf(`${name} a`)),
    customerMain(accountOf(`${name} b`)),
  ];
}

/** What to do next; which account or hold is meant is taken modulo how many there are. */
export const stepArbitrary = fc.record({
  kind: fc.constantFrom('post', 'post', 'post', 'hold', 'brief', 'pay', 'void', 'close', 'reopen'),
  from: fc.nat(3),
  to: fc.nat(3),
  units: fc.bigInt({ min: 1n, max: 50n }),
  hold: fc.nat(20),
});
export type Step = typeof stepArbitrary extends fc.Arbitrary<infer S> ? S : never;

function commandOf(
  step: Step,
  paths: readonly AccountPath[],
  holds: TransferCommand[],
): TransferCommand | undefined {
  const at = (index: number): AccountPath => paths[index % paths.length] as AccountPath;
  const hold = holds[step.hold % Math.max(holds.length, 1)];
  const status = {
    id: freshId(),
    account: at(step.from),
    asset: ether,
    code: 'account-status',
    reference: 'past',
  } as const;
  switch (step.kind) {
    case 'post':
      return post(at(step.from), at(step.to), step.units);
    case 'hold':
    case 'brief': {
      const command = pending(
        at(step.from),
        at(step.to),
        step.units,
        step.kind === 'brief' ? { timeoutMs: 1 } : {},
      );
      holds.push(command);
      return command;
    }
    case 'pay':
      return hold === undefined ? undefined : postPending(hold.id, (step.units % 25n) + 1n);
    case 'void':
      return hold === undefined ? undefined : voidPending(hold.id);
    case 'close':
      return { ...status, kind: 'close-account' };
    case 'reopen':
      return { ...status, kind: 'reopen-account' };
    default:
      return undefined;
  }
}

/** Applies the batches one after the other, ends what is due between them, and notes what each batch left. */
export async function makePast(
  { pool, ledger }: { readonly pool: Pool; readonly ledger: Ledger },
  paths: readonly AccountPath[],
  batches: readonly (readonly Step[])[],
): Promise<{ readonly refs: readonly AccountRef[]; readonly noted: readonly NotedBatch[] }> {
  const refs = paths.map((path): AccountRef => ({ path, asset: ether }));
  await ledger.openAccounts(pool, refs);
  const noted: NotedBatch[] = [];
  const note = async () => {
    const { rows } = await pool.query<{ batch_no: string }>('SELECT batch_no FROM ledger.head');
    noted.push({ batch: BigInt(rows[0]?.batch_no ?? 0), balances: await ledger.balances({ paths }) });
  };
  const holds: TransferCommand[] = [];
  const [hot, , a, b] = paths as [AccountPath, AccountPath, AccountPath, AccountPath];
  await note();
  await ledger.apply([post(hot, a, 1_000n), post(hot, b, 1_000n)]);
  await note();
  for (const steps of batches) {
    const commands = steps.flatMap((step) => commandOf(step, paths, holds) ?? []);
    if (commands.length > 0) await ledger.apply(commands);
    await note();
    await delay(2);
    await ledger.expireDue();
    await note();
  }
  return { refs, noted };
}
