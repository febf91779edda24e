/**
 * From the ledger into the engine: what customers moved to spot is credited, in the order of the journal. The position of a
 * credit is the transfer's `seq`, and the engine refuses positions it has passed, so that feeding again after a crash credits
 * nothing twice. What the engine cannot take goes back to main.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { isStrongroomError } from '#core/errors';
import type { Id } from '#core/ids';
import type { Pool } from '#infra/db';
import type { Ledger, readEventsOfCodes } from '#ledger';
import { type SpotMove, spotIn, spotOut, type Transfer, type TransferCommand } from '#ledger/contract';
import { type EngineAccounts, firstEvent, type SubmitCommand } from './accounts.ts';
import { type EngineAsset, engineAmount } from './assets.ts';
import type { SettledEngine } from './store.ts';

/** A look at a quiet journal reads two rows: how far it was fed, and the ledger's head. */
const pollMs = 50;

/** The ledger's journal as a stream (`readEventsOfCodes` of the ledger). */
export type ReadLedger = typeof readEventsOfCodes;
export interface SpotFeedOptions {
  readonly pool: Pool;
  readonly engine: SettledEngine;
  readonly accounts: EngineAccounts;
  readonly submit: SubmitCommand;
  readonly readEventsOfCodes: ReadLedger;
  readonly ledger: Pick<Ledger, 'apply' | 'transfersByReference'>;
}
export interface SpotFeed {
  /** Feeds the next transfers there are; how many it came by, 0 when it has seen all. */
  step(): Promise<number>;
  /** Until the signal; errors end it, and it may be started again. */
  run(signal: AbortSignal): Promise<void>;
}

/** The reference of what the engine did not take, by the transfer that brought it. */
export const returnReference = (engineName: string, seq: bigint): string =>
  `engine/${engineName}/returned/${seq}`;

/** A customer's request, checked before it is booked. @throws MATCHING_AMOUNT_NOT_TRADABLE */
export function spotInTradable(assets: readonly EngineAsset[], move: SpotMove): TransferCommand[] {
  engineAmount(assets, move.amount);
  return spotIn(move);
}

/** Whose spot account it is; undefined for any other. */
export function spotOwner(path: string): Id<'acc'> | undefined {
  const [, owner] = /^customer:(acc_[0-9a-f-]+):spot$/.exec(path) ?? [];
  return owner as Id<'acc'> | undefined;
}

export function createSpotFeed(options: SpotFeedOptions): SpotFeed {
  const { pool, engine, accounts, submit, readEventsOfCodes, ledger } = options;
  /** Whether what is read next was surely never fed before: not after a start or an error. */
  let isNew = false;

  /** Whether the engine has it now. */
  async function credit(transfer: Transfer, accountId: Id<'acc'>): Promise<boolean> {
    const { asset, units } = engineAmount(engine.assets, transfer.amount);
    const account = await accounts.numberOf(accountId);
    const event = await firstEvent(submit, {
      kind: 'credit',
      account,
      asset,
      units,
      position: Number.parseInt(transfer.seq.toString(), 10),
    });
    return event.kind === 'credited' || (event.kind === 'rejected' && event.reason === 'duplicate-transfer');
  }
  async function giveBack({ seq, amount }: Transfer, accountId: Id<'acc'>): Promise<void> {
    const [result] = await ledger.apply(
      spotOut({ reference: returnReference(engine.name, seq), accountId, amount }),
    );
    if (result?.status !== 'ok' && result?.status !== 'exists')
      throw new Error(`transfer ${seq} cannot be returned to main: ${result?.status ?? 'no answer'}`);
  }
  async function feed(transfer: Transfer, wasNew: boolean): Promise<void> {
    const accountId = spotOwner(transfer.credit);
    if (accountId === undefined) return;
    // What went back stays back, even if the engine would take it by now.
    if (!wasNew && (await ledger.transfersByReference(returnReference(engine.name, transfer.seq))).length > 0)
      return;
    const isCredited = await credit(transfer, accountId).catch((error: unknown) => {
      if (isStrongroomError(error) && refusals.has(error.code)) return false;
      throw error;
    });
    if (!isCredited) await giveBack(transfer, accountId);
  }
  async function step(): Promise<number> {
    const { rows } = await pool.query<{ ledger_seq: string }>(
      'SELECT ledger_seq FROM matching.fed WHERE engine = $1',
      [engine.no],
    );
    const after = BigInt(rows[0]?.ledger_seq ?? 0);
    const { events, upTo } = await readEventsOfCodes(pool, { after, codes: ['spot-in'] });
    if (upTo === after) return 0;
    const wasNew = isNew;
    isNew = false;
    for (const transfer of events) await feed(transfer, wasNew);
    await pool.query('SELECT matching.advance_fed($1, $2, 0)', [engine.no, upTo]);
    isNew = true;
    return Number.parseInt((upTo - after).toString(), 10);
  }
  return {
    step,
    run: async (signal) => {
      while (!signal.aborted)
        if ((await step()) === 0) await delay(pollMs, undefined, { signal }).catch(() => undefined);
    },
  };
}
/** The engine will never take it, whenever it is asked again. */
const refusals: ReadonlySet<string> = new Set(['MATCHING_AMOUNT_NOT_TRADABLE', 'MATCHING_OPENING_REFUSED']);
