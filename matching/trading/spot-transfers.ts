/**
 * Between main and spot. To spot: the row and the ledger's transfer are one commit; the engine's process feeds it. To main: the
 * row is first, then the engine is debited under the row's client id, then the settler books it. So wherever a process ends, the same
 * id again finds how far it has got.
 *
 * The engine takes a client id once, for as long as it remembers it. So each debit has a greatest number that it may get there: as
 * many commands as ids are remembered after one by which there was surely no debit. The engine's end of the link refuses it beyond
 * that, however old the view of the sender or slow the network was. The row keeps that number for all attempts, and another number is
 * begun with only when all up to the last one is settled, and no debit with it. Nothing depends on how late anybody is.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { errorsOf, isStrongroomError } from '#core/errors';
import { type Id, parseId } from '#core/ids';
import { type Amount, amount, parseUnits } from '#core/money';
import type { Clock } from '#core/ports';
import { inTransaction, type Pool } from '#infra/db';
import type { Ledger } from '#ledger';
import { customerMain, customerSpot, ledgerErrors } from '#ledger/contract';
import type { EngineEvent } from '../events.ts';
import { engineAmount, engineUnitsMax } from '../settlement/assets.ts';
import { debitOf } from '../settlement/history.ts';
import { returnReference, spotInTradable } from '../settlement/spot-feed.ts';
import { readHead, type SettledEngine } from '../settlement/store.ts';
import type { TradingAccounts } from './accounts.ts';
import type { EngineCommands } from './commands.ts';
import type { SpotTransfer, SpotTransferView, TradingOperations } from './contract.ts';
import { tradingErrors } from './errors.ts';
import {
  endSpotRow,
  findSpotRow,
  insertSpotRow,
  noteDebit,
  noteRefused,
  type PendingPlace,
  pendingSpotRows,
  readSpotRow,
  refuseSpotRow,
  type SpotRow,
  sameSpotRow,
} from './spot-rows.ts';

const fail = errorsOf({ ...tradingErrors, ...ledgerErrors });

/** Before each look at whether it has ended; 3 s in all, then the caller is told that it is on its way. */
const usualLooksMs = [0, 15, 30, 60, 120, 200, ...Array.from({ length: 10 }, () => 250)];
/** A round looks at so many that nobody waits for; each costs a handful of queries. */
const rowsPerRound = 100;
/** The one who asked for a younger one looks after it. */
const roundAgeMs = 10_000;

export type SpotLedger = Pick<Ledger, 'openAccounts' | 'applyOrThrow' | 'balances' | 'transfersByReference'>;
export interface SpotContext {
  readonly pool: Pool;
  readonly ledger: SpotLedger;
  readonly engine: SettledEngine;
  readonly commands: EngineCommands;
  readonly accounts: TradingAccounts;
  readonly clock: Clock;
  /** Before each look at whether it has ended; otherwise 3 s in all. */
  readonly looksMs?: Looks;
}
export interface SpotOperations extends Pick<TradingOperations, 'moveSpot' | 'spotTransfer'> {
  /** Looks at what is pending although nobody waits for it: a part of all, the next time the next part. @throws the first failure, at its end */
  resume(): Promise<void>;
}

/** Milliseconds before each. */
type Looks = readonly number[];
const oneLook: Looks = [0];

class SpotTransfers implements SpotOperations {
  readonly #context: SpotContext;
  /** One attempt at a time of each in this process. */
  readonly #running = new Map<Id<'spt'>, Promise<SpotTransferView>>();
  #place: PendingPlace = roundStart;

  constructor(context: SpotContext) {
    this.#context = context;
  }

  async moveSpot(transfer: SpotTransfer): Promise<SpotTransferView> {
    parseId('spt', transfer.id);
    this.#assertNotTooLarge(transfer);
    const moved = amount(transfer.asset, parseUnits(transfer.units));
    engineAmount(this.#context.engine.assets, moved);
    const { pool, engine, commands, looksMs: looks = usualLooksMs } = this.#context;
    const toSpot = transfer.direction === 'to-spot';
    // Nobody has debited what has no row yet.
    const undebitedSeq = toSpot ? undefined : commands.view().seq;
    const row = toSpot ? await this.#bring(transfer, moved) : await this.#take(transfer);
    if (row !== undefined) return await this.#finish(row, { undebitedSeq, looks });
    return await this.#finish(await sameSpotRow(pool, engine, transfer), { looks });
  }

  /** Of digits so many that they are no amount at all, too. @throws TRADING_AMOUNT_TOO_LARGE */
  #assertNotTooLarge({ asset, units }: SpotTransfer): void {
    const unit = this.#context.engine.assets.find(({ id }) => id === asset)?.unit;
    if (unit === undefined || !/^[1-9][0-9]*$/.test(units)) return;
    const max = (engineUnitsMax * unit).toString();
    if (units.length > max.length || BigInt(units) > engineUnitsMax * unit)
      throw fail(
        'TRADING_AMOUNT_TOO_LARGE',
        `\`units\` is too large, a number of ${units.length} digits: at most ${max} base units of ${asset}`,
        { field: 'units', asset, max },
      );
  }

  async spotTransfer(id: Id<'spt'>): Promise<SpotTransferView> {
    const { pool, engine } = this.#context;
    const row = await readSpotRow(pool, engine, parseId('spt', id));
    return await this.#finish(row, { looks: oneLook });
  }

  async resume(): Promise<void> {
    const { pool, engine, clock } = this.#context;
    const pending = await pendingSpotRows(pool, engine, {
      after: this.#place,
      beforeMs: clock.nowMs() - roundAgeMs,
      limit: rowsPerRound,
    });
    this.#place = pending.length < rowsPerRound ? roundStart : (pending.at(-1)?.place ?? roundStart);
    // One that fails must not keep those after it.
    const failed: unknown[] = [];
    for (const { row } of pending)
      await this.#finish(row, { looks: oneLook }).catch((error: unknown) => failed.push(error));
    if (failed.length > 0) throw failed[0];
  }

  /** Undefined when there is one of this id. @throws LEDGER_INSUFFICIENT_FUNDS and others; nothing is written then */
  async #bring(transfer: SpotTransfer, moved: Amount): Promise<SpotRow | undefined> {
    const { pool, ledger, engine, clock } = this.#context;
    const { id, accountId, asset } = transfer;
    const atMs = clock.nowMs();
    const commands = spotInTradable(engine.assets, { reference: id, accountId, amount: moved, at: atMs });
    return await inTransaction(pool, async (tx) => {
      const row = await insertSpotRow(tx, engine, transfer, atMs);
      if (row === undefined) return undefined;
      await ledger.openAccounts(tx, [
        { path: customerMain(accountId), asset },
        { path: customerSpot(accountId), asset },
      ]);
      await ledger.applyOrThrow(commands, tx);
      return row;
    });
  }
  /** Undefined when there is one of this id. @throws LEDGER_ACCOUNT_CLOSED; nothing is written then */
  async #take(transfer: SpotTransfer): Promise<SpotRow | undefined> {
    const { pool, engine, clock } = this.#context;
    const { accountId, asset } = transfer;
    if (await this.#isMainClosed(transfer)) {
      // One that was asked for before it was closed has the same answer as then.
      if ((await findSpotRow(pool, engine, transfer.id)) !== undefined) return undefined;
      throw fail('LEDGER_ACCOUNT_CLOSED', `the main account of ${accountId} is closed`, { accountId, asset });
    }
    return await insertSpotRow(pool, engine, transfer, clock.nowMs());
  }
  /** What the engine lets go of must have somewhere to go to: the settler cannot ask the customer. */
  async #isMainClosed({ accountId, asset }: SpotTransfer): Promise<boolean> {
    const [main] = await this.#context.ledger.balances({ paths: [customerMain(accountId)], asset });
    return main?.closed === true;
  }

  async #finish(row: SpotRow, how: Attempt): Promise<SpotTransferView> {
    const { id, state, direction } = row.view;
    if (state !== 'pending') return row.view;
    const running =
      this.#running.get(id) ??
      (direction === 'to-spot' ? this.#toSpot(row, how.looks) : this.#toMain(row, how)).finally(() =>
        this.#running.delete(id),
      );
    this.#running.set(id, running);
    return await running;
  }

  async #toSpot(row: SpotRow, looks: Looks): Promise<SpotTransferView> {
    const { pool, ledger, engine } = this.#context;
    const [brought] = await ledger.transfersByReference(row.view.id);
    if (brought === undefined) return row.view;
    const isReturned = async (): Promise<boolean> =>
      (await ledger.transfersByReference(returnReference(engine.name, brought.seq))).length > 0;
    const ended = await lookUntil(looks, async () => {
      const { rows } = await pool.query<{ fed: boolean }>(
        'SELECT ledger_seq >= $2 AS fed FROM matching.fed WHERE engine = $1',
        [engine.no, brought.seq],
      );
      // What was fed is credited, or was given back before it counted as fed.
      if (rows[0]?.fed !== true) return undefined;
      return await endSpotRow(pool, engine, row, (await isReturned()) ? 'returned' : 'done');
    });
    return ended ?? row.view;
  }

  async #toMain(row: SpotRow, { undebitedSeq, looks }: Attempt): Promise<SpotTransferView> {
    const { pool, engine, accounts } = this.#context;
    const account = await accounts.numberOf(row.view.accountId);
    // It has no number, so it has never had anything in the engine.
    if (account === undefined) return await refuseSpotRow(pool, engine, row, 'insufficient-balance');
    let bySeq = undebitedSeq === undefined ? row.debitBySeq : this.#boundAfter(undebitedSeq);
    // An attempt that was held up is not the only one any more.
    if (undebitedSeq === undefined) {
      const isMainClosed = await this.#isMainClosed(row.view);
      const { isBooked, headSeq } = await this.#lookAt(row, account);
      if (isBooked) return await endSpotRow(pool, engine, row, 'done');
      if (isMainClosed) return row.view;
      // What may have been sent under the number before cannot come any more.
      if (bySeq === undefined || headSeq >= bySeq) bySeq = this.#boundAfter(headSeq);
    }
    return await this.#debitOnce({ row, account, bySeq: bySeq ?? 0 }, looks);
  }

  async #debitOnce(debit: Debit, looks: Looks): Promise<SpotTransferView> {
    const { pool, engine, commands } = this.#context;
    const { row, account, bySeq } = debit;
    // The engine is there already: it would only be refused. Once that is settled, the next attempt goes on.
    const isLate = commands.view().seq >= bySeq;
    if (isLate || !(await noteDebit(pool, row, bySeq))) return await this.#watch(debit, looks);
    const event = await this.#debit(debit);
    if (event === 'unknown') return row.view;
    if (event === 'not-taken' || event.kind === 'rejected') await noteRefused(pool, row, bySeq);
    if (event === 'not-taken') return row.view;
    if (event.kind === 'rejected' && event.reason !== 'duplicate-client-id')
      return await refuseSpotRow(pool, engine, row, event.reason);
    const ended = await lookUntil(looks, async () => {
      const { isBooked, headSeq } = await this.#lookAt(row, account);
      if (isBooked) return await endSpotRow(pool, engine, row, 'done');
      // All up to the refusal is booked, and no such debit with it: the customer had the id for an order.
      if (event.kind === 'rejected' && headSeq >= event.seq)
        return await refuseSpotRow(pool, engine, row, event.reason);
      return undefined;
    });
    return ended ?? row.view;
  }

  /** How the attempt of another one ends. */
  async #watch({ row, account }: Debit, looks: Looks): Promise<SpotTransferView> {
    const { pool, engine } = this.#context;
    const ended = await lookUntil(looks, async () => {
      const { view } = await readSpotRow(pool, engine, row.view.id);
      if (view.state !== 'pending') return view;
      return (await this.#lookAt(row, account)).isBooked
        ? await endSpotRow(pool, engine, row, 'done')
        : undefined;
    });
    return ended ?? row.view;
  }

  /** What became of it; when that is not known, the next attempt finds it. */
  async #debit({ row, account, bySeq }: Debit): Promise<EngineEvent | 'not-taken' | 'unknown'> {
    const { engine, commands } = this.#context;
    const { view, clientId } = row;
    const { asset, units } = engineAmount(engine.assets, amount(view.asset, parseUnits(view.units)));
    try {
      const [event] = await commands.submit(
        { kind: 'debit', account, asset, units, clientOrderId: clientId },
        { lastSeq: bySeq },
      );
      return event ?? 'unknown';
    } catch (error) {
      if (!isStrongroomError(error) || !Object.hasOwn(tradingErrors, error.code)) throw error;
      return error.code === 'TRADING_OUTCOME_UNKNOWN' ? 'unknown' : 'not-taken';
    }
  }

  /** Whether the debit is booked; if not, it is younger than the head, if there is one. */
  async #lookAt(
    { clientId }: SpotRow,
    account: number,
  ): Promise<{ readonly isBooked: boolean; readonly headSeq: number }> {
    const { pool, engine } = this.#context;
    // Before the debit is looked for: it is in what was booked by then, or after it.
    const { seq: headSeq } = await readHead(pool, engine);
    const isBooked = (await debitOf(pool, engine, account, clientId)) !== undefined;
    return { isBooked, headSeq };
  }
  /**
   * The last command before which the engine surely remembers a debit that is younger than `seq`: between the two there is room for
   * fewer ids than it keeps.
   */
  #boundAfter(seq: number): number {
    return seq + this.#context.engine.config.clientIdsKept;
  }
}
interface Debit {
  readonly row: SpotRow;
  /** Its number in the engine. */
  readonly account: number;
  /** The greatest sequence number it may get. */
  readonly bySeq: number;
}
interface Attempt {
  /** Of a debit: by that command there was none. Undefined of a row that others have seen. */
  readonly undebitedSeq?: number | undefined;
  readonly looks: Looks;
}
/** Before the first. */
const roundStart: PendingPlace = { atMs: '-1', id: '00000000-0000-0000-0000-000000000000' };

/** Undefined when it has not ended by the last look. */
async function lookUntil<T>(looks: Looks, look: () => Promise<T | undefined>): Promise<T | undefined> {
  for (const delayMs of looks) {
    if (delayMs > 0) await delay(delayMs);
    const found = await look();
    if (found !== undefined) return found;
  }
  return undefined;
}

export const createSpotTransfers = (context: SpotContext): SpotOperations => new SpotTransfers(context);
