/** What the journal templates are made of: one leg, a chain of legs, and the end of a reservation. */
import { invariant } from '#core/errors';
import { derivedId, type Id } from '#core/ids';
import type { Amount } from '#core/money';
import type { AccountPath } from '../accounts.ts';
import type { MoveCommand, TransferCode, TransferCommand } from '../transfers.ts';

/** The id of a step of a business event; also how a pending transfer is found again when it is posted or voided. */
export const transferIdOf = (reference: string, step: string): Id<'tr'> =>
  derivedId('tr', `${reference}/${step}`);

/** Legs of one event that {@link legIdsOf} can name. */
const legsNamedMax = 16 ** 5;
/**
 * Ids for an event of thousands of legs, by their order: one hash for all, and neighbours in every index. 102 bits are of the
 * reference's own id.
 */
export function legIdsOf(reference: string): (at: number) => Id<'tr'> {
  const stem = derivedId('tr', `${reference}/legs`).slice(0, -5);
  return (at) => {
    invariant(at < legsNamedMax, 'an event has as many legs as can be named', { reference, at });
    return `${stem}${at.toString(16).padStart(5, '0')}` as Id<'tr'>;
  };
}

/** When it happened in the world, ms since 1970 (a block's time, an engine's clock). */
export interface Timed {
  readonly at?: number | undefined;
}
/** One leg of a business event: `reference` names the event, `step` the leg within it. */
export interface Leg extends Timed {
  readonly reference: string;
  readonly step: string;
  readonly debit: AccountPath;
  readonly credit: AccountPath;
  readonly amount: Amount;
  readonly code: TransferCode;
}

export const when = (at: number | undefined): { at?: number } => (at === undefined ? {} : { at });

function move(kind: MoveCommand['kind'], { step, at, ...leg }: Leg): MoveCommand {
  return { id: transferIdOf(leg.reference, step), kind, ...leg, ...when(at) };
}
export const post = (leg: Leg): MoveCommand => move('post', leg);
/** Reserves; {@link resolve} ends it. */
export const reserve = (leg: Leg): MoveCommand => move('pending', leg);

/** All of them or none. */
export const chained = (commands: readonly MoveCommand[]): TransferCommand[] =>
  commands.map((command, at) => (at < commands.length - 1 ? { ...command, linked: true } : command));

/** The step that ends a reservation: one for posting and voiding, so that only one of them can happen. */
export const resolvedStep = 'resolved';

/** Ends a reservation: with an amount it posts that much and releases the rest, without one it voids. */
export function resolve(
  end: Timed & {
    readonly reference: string;
    /** Steps of the reservation and of its end. */
    readonly reserved: string;
    readonly ended?: string;
    readonly amount?: Amount;
    readonly code: TransferCode;
  },
): TransferCommand[] {
  const { reference, reserved, ended = resolvedStep, amount, code, at } = end;
  const shared = {
    id: transferIdOf(reference, ended),
    pendingId: transferIdOf(reference, reserved),
    code,
    reference,
    ...when(at),
  };
  return [
    amount === undefined ? { ...shared, kind: 'void-pending' } : { ...shared, kind: 'post-pending', amount },
  ];
}
