/** The books made again from the lines that the hash chain is over: the sums of all accounts, and the holds that are open. */
import { type AccountPath, accountKind, accountRules, type Floor } from './accounts.ts';
import type { TransferLine } from './chain.ts';
import type { LedgerProblem } from './contract.ts';

type Note = (check: LedgerProblem['check'], place: string, problem: string) => void;

interface Account {
  readonly name: string;
  readonly asset: string;
  readonly floor: Floor | undefined;
  debitsPending: bigint;
  debitsPosted: bigint;
  creditsPending: bigint;
  creditsPosted: bigint;
  lastSeq: string;
  isClosed: boolean;
  isCompared: boolean;
}
interface Hold {
  readonly debit: Account;
  readonly credit: Account;
  readonly units: bigint;
}

function floorOf(path: string): Floor | undefined {
  try {
    return accountRules[accountKind(path as AccountPath)].floor;
  } catch {
    return undefined; // not a path
  }
}

function isBelowFloor({ floor, debitsPending, debitsPosted, creditsPosted }: Account): boolean {
  if (floor === 'held') return debitsPosted + debitsPending > creditsPosted;
  return floor === 'posted' && creditsPosted > debitsPosted;
}

export class Replay {
  readonly #note: Note;
  readonly #accounts = new Map<string, Account>();
  readonly #holds = new Map<string, Hold>();

  constructor(note: Note) {
    this.#note = note;
  }

  open({ id, path, asset }: { readonly id: string; readonly path: string; readonly asset: string }): void {
    const floor = floorOf(path);
    if (floor === undefined)
      this.#note('register', `account ${id}`, `"${path}" is not the path of an account`);
    this.#accounts.set(id, {
      name: `${path} ${asset}`,
      asset,
      floor,
      debitsPending: 0n,
      debitsPosted: 0n,
      creditsPending: 0n,
      creditsPosted: 0n,
      lastSeq: '0',
      isClosed: false,
      isCompared: false,
    });
  }

  apply({ seq, line }: TransferLine): void {
    // Of a line that is none, the batch was told of.
    const fields = line?.split('|', 9) ?? [];
    const [
      stated,
      id = '',
      kind = '',
      debitId = '',
      creditId = '',
      debitBefore,
      creditBefore,
      units = '',
      pendingId = '',
    ] = fields;
    const place = `transfer ${id === '' ? `at ${seq}` : id}`;
    const [debit, credit] = [this.#accounts.get(debitId), this.#accounts.get(creditId)];
    if (stated !== seq || debit === undefined || credit === undefined || !/^[0-9]+$/.test(units)) {
      this.#note('journal', place, 'cannot be read, or names an account that does not exist');
      return;
    }
    if (debit.asset !== credit.asset)
      this.#note('zero-sum', place, 'the two accounts of a transfer have different assets');
    if (debitBefore !== debit.lastSeq || creditBefore !== credit.lastSeq)
      this.#note('journal', place, 'does not name the transfers before it of its accounts');
    this.#move({ id, kind, debit, credit, units: BigInt(units), pendingId }, place);
    debit.lastSeq = seq;
    credit.lastSeq = seq;
    for (const account of [debit, credit])
      if (isBelowFloor(account)) this.#note('balance', account.name, `was overdrawn by ${place}`);
  }

  #move(
    of: Hold & { readonly id: string; readonly kind: string; readonly pendingId: string },
    place: string,
  ): void {
    const { kind, debit, credit, units } = of;
    switch (kind) {
      case 'post':
        debit.debitsPosted += units;
        credit.creditsPosted += units;
        break;
      case 'pending':
        debit.debitsPending += units;
        credit.creditsPending += units;
        this.#holds.set(of.id, { debit, credit, units });
        break;
      case 'post-pending':
      case 'void-pending':
      case 'expire-pending':
        this.#endHold(of, place);
        break;
      case 'close-account':
      case 'reopen-account':
        debit.isClosed = kind === 'close-account';
        break;
      default:
        this.#note('journal', place, `is of the unknown kind "${kind}"`);
    }
  }

  #endHold(of: Hold & { readonly kind: string; readonly pendingId: string }, place: string): void {
    const { kind, debit, credit, units, pendingId } = of;
    const hold = this.#holds.get(pendingId);
    const isPosted = kind === 'post-pending';
    if (
      hold?.debit !== debit ||
      hold.credit !== credit ||
      (isPosted ? units > hold.units : units !== hold.units)
    ) {
      this.#note('pending', place, 'ends a hold that is not open, not its own, or smaller');
      return;
    }
    this.#holds.delete(pendingId);
    debit.debitsPending -= hold.units;
    credit.creditsPending -= hold.units;
    if (isPosted) {
      debit.debitsPosted += units;
      credit.creditsPosted += units;
    }
  }

  /** @param row of `ledger.balance`; `sums` are debits pending and posted, credits pending and posted */
  compare(row: Readonly<Record<'account' | 'last_seq' | 'sums' | 'closed', string>>): void {
    const account = this.#accounts.get(row.account);
    if (account === undefined) {
      this.#note('balance', `account ${row.account}`, 'a balance without an account');
      return;
    }
    account.isCompared = true;
    const { debitsPending, debitsPosted, creditsPending, creditsPosted, lastSeq, isClosed } = account;
    const sums = [debitsPending, debitsPosted, creditsPending, creditsPosted].join(' ');
    if (row.sums !== sums || row.last_seq !== lastSeq || row.closed !== String(isClosed))
      this.#note('balance', account.name, 'stored and replayed balances differ');
  }

  noteUncompared(): void {
    for (const { name, isCompared } of this.#accounts.values())
      if (!isCompared) this.#note('balance', name, 'has no balance');
  }

  /** Ids, as PostgreSQL writes them. */
  openHolds(): Iterable<string> {
    return this.#holds.keys();
  }
}
