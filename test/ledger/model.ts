/** The ledger written as plainly as possible, in memory: what `ledger.apply_batch` must agree with. */
import type { Id } from '#core/ids';
import {
  type AccountPath,
  accountKind,
  accountRules,
  type TransferCommand,
  type TransferStatus,
} from '#ledger/contract';

type Move = Extract<TransferCommand, { kind: 'post' | 'pending' }>;
type Resolution = Extract<TransferCommand, { kind: 'post-pending' | 'void-pending' | 'expire-pending' }>;
type AccountStatus = Extract<TransferCommand, { kind: 'close-account' | 'reopen-account' }>;

interface ModelAccount {
  debitsPending: bigint;
  debitsPosted: bigint;
  creditsPending: bigint;
  creditsPosted: bigint;
  closed: boolean;
}
interface Legs {
  readonly debit: AccountPath;
  readonly credit: AccountPath;
  readonly asset: string;
}
interface ModelHold extends Legs {
  readonly units: bigint;
  readonly expiresMs: number;
  state: 'pending' | 'resolved' | 'expired';
}
export interface ModelResult {
  readonly status: TransferStatus;
  readonly account?: AccountPath;
  readonly units?: bigint;
}
interface ModelState {
  readonly accounts: Map<string, ModelAccount>;
  readonly holds: Map<Id<'tr'>, ModelHold>;
  readonly journal: Map<Id<'tr'>, { readonly content: string; readonly units?: bigint }>;
}

const mostUnits = 10n ** 78n - 1n;
const ok: ModelResult = { status: 'ok' };
const keyOf = (path: AccountPath, asset: string): string => `${path} ${asset}`;
const copyOf = <K, V extends object>(map: Map<K, V>): Map<K, V> =>
  new Map([...map].map(([key, value]) => [key, { ...value }]));
const smaller = (a: bigint, b: bigint): bigint => (a < b ? a : b);

function contentOf(command: TransferCommand): string {
  const { linked: _linked, at: _at, ...content } = command;
  return JSON.stringify(content, (_key, value: unknown) =>
    typeof value === 'bigint' ? value.toString() : value,
  );
}
const floorOf = (path: AccountPath) => accountRules[accountKind(path)].floor;

export class LedgerModel {
  #state: ModelState = { accounts: new Map(), holds: new Map(), journal: new Map() };
  #approved = new Map<Id<'tr'>, string>();
  /** The ledger's clock: that of its newest batch; it never goes back. */
  #recordedMs: number;
  #nowMs = 0;

  constructor(startMs: number) {
    this.#recordedMs = startMs;
  }

  open(path: AccountPath, asset: string): void {
    this.#state.accounts.set(keyOf(path, asset), {
      debitsPending: 0n,
      debitsPosted: 0n,
      creditsPending: 0n,
      creditsPosted: 0n,
      closed: false,
    });
  }

  account(path: AccountPath, asset: string): ModelAccount | undefined {
    return this.#state.accounts.get(keyOf(path, asset));
  }

  /** A second person agreed to this adjustment. */
  approve({ id, debit, credit, amount }: Move): void {
    this.#approved.set(id, JSON.stringify([debit, credit, amount.asset, amount.units.toString()]));
  }

  apply(commands: readonly TransferCommand[], nowMs: number): ModelResult[] {
    this.#nowMs = Math.max(nowMs, this.#recordedMs);
    const results: ModelResult[] = [];
    for (let start = 0; start < commands.length; ) {
      let end = start;
      while (commands[end]?.linked === true && end + 1 < commands.length) end++;
      results.push(...this.#applyChain(commands.slice(start, end + 1)));
      start = end + 1;
    }
    if (results.some(({ status }) => status === 'ok')) this.#recordedMs = this.#nowMs;
    return results;
  }

  #applyChain(chain: readonly TransferCommand[]): ModelResult[] {
    const { accounts, holds, journal } = this.#state;
    const before = { accounts: copyOf(accounts), holds: copyOf(holds), journal: new Map(journal) };
    const results: ModelResult[] = [];
    for (const [index, command] of chain.entries()) {
      const isOpenEnd = command.linked === true && index === chain.length - 1;
      const result: ModelResult = isOpenEnd ? { status: 'invalid' } : this.#applyOne(command);
      results.push(result);
      if (result.status !== 'ok' && result.status !== 'exists' && (chain.length > 1 || isOpenEnd)) {
        this.#state = before;
        return chain.map((_, other) => (other === index ? result : { status: 'linked-failed' }));
      }
    }
    return results;
  }

  #applyOne(command: TransferCommand): ModelResult {
    const content = contentOf(command);
    const earlier = this.#state.journal.get(command.id);
    if (earlier !== undefined) {
      if (earlier.content !== content) return { status: 'conflict' };
      return { status: 'exists', ...(earlier.units === undefined ? {} : { units: earlier.units }) };
    }
    const result = this.#decide(command);
    if (result.status === 'ok')
      this.#state.journal.set(command.id, {
        content,
        ...(result.units === undefined ? {} : { units: result.units }),
      });
    return result;
  }

  #decide(command: TransferCommand): ModelResult {
    const timeoutMs = 'timeoutMs' in command ? command.timeoutMs : undefined;
    if (timeoutMs !== undefined && (command.kind !== 'pending' || timeoutMs <= 0))
      return { status: 'invalid' };
    const isBalancing = 'balancing' in command;
    if (command.code === 'adjustment' && (command.kind !== 'post' || isBalancing))
      return { status: 'not-approved' };
    switch (command.kind) {
      case 'post':
      case 'pending':
        return this.#move(command);
      case 'close-account':
      case 'reopen-account':
        return this.#setClosed(command);
      case 'post-pending':
      case 'void-pending':
      case 'expire-pending':
        return this.#resolve(command);
    }
  }

  #setClosed({ kind, account: path, asset }: AccountStatus): ModelResult {
    const account = this.account(path, asset);
    if (account === undefined) return { status: 'unknown-account', account: path };
    if (kind === 'close-account' && account.closed) return { status: 'closed', account: path };
    if (kind === 'reopen-account' && !account.closed) return { status: 'not-closed', account: path };
    const isEmpty =
      account.debitsPosted === account.creditsPosted && account.debitsPending + account.creditsPending === 0n;
    if (!isEmpty) return { status: 'not-empty', account: path };
    account.closed = kind === 'close-account';
    return ok;
  }

  #move(command: Move): ModelResult {
    const { debit, credit, amount } = command;
    const { asset } = amount;
    if (debit === credit || amount.units <= 0n) return { status: 'invalid' };
    for (const path of [debit, credit])
      if (this.account(path, asset) === undefined) return { status: 'unknown-account', account: path };
    for (const path of [debit, credit])
      if (this.account(path, asset)?.closed === true) return { status: 'closed', account: path };
    if (
      command.code === 'adjustment' &&
      this.#approved.get(command.id) !== JSON.stringify([debit, credit, asset, amount.units.toString()])
    )
      return { status: 'not-approved' };
    const units = smaller(amount.units, this.#room(command));
    if (units <= 0n)
      return { status: 'insufficient', account: command.balancing === 'debit' ? debit : credit };
    const [pending, posted] = command.kind === 'pending' ? [units, 0n] : [0n, units];
    const refused = this.#book({ debit, credit, asset }, pending, posted);
    if (refused !== undefined) return refused;
    if (command.kind === 'pending') {
      const expiresMs =
        command.timeoutMs === undefined ? Number.POSITIVE_INFINITY : this.#nowMs + command.timeoutMs;
      this.#state.holds.set(command.id, { debit, credit, asset, units, expiresMs, state: 'pending' });
    }
    return command.balancing === undefined ? ok : { status: 'ok', units };
  }

  /** What a balancing transfer can take; without a floor there is no end to it. */
  #room({ debit, credit, amount, balancing }: Move): bigint {
    const path = balancing === 'debit' ? debit : credit;
    const account = this.account(path, amount.asset);
    if (balancing === undefined || account === undefined) return mostUnits;
    const { debitsPending, debitsPosted, creditsPending, creditsPosted } = account;
    if (balancing === 'debit' && floorOf(path) === 'held')
      return creditsPosted - debitsPosted - debitsPending;
    if (balancing === 'credit' && floorOf(path) === 'posted')
      return debitsPosted - creditsPosted - creditsPending;
    return mostUnits;
  }

  #resolve(command: Resolution): ModelResult {
    const hold = this.#state.holds.get(command.pendingId);
    if (hold === undefined) return { status: 'pending-not-found' };
    if (hold.state === 'resolved') return { status: 'pending-resolved' };
    const isDue = hold.expiresMs <= this.#nowMs;
    if (hold.state === 'expired' || (isDue && command.kind !== 'expire-pending'))
      return { status: 'pending-expired' };
    if (!isDue && command.kind === 'expire-pending') return { status: 'pending-not-due' };
    let posted = 0n;
    if (command.kind === 'post-pending') {
      if (command.amount.units <= 0n || command.amount.asset !== hold.asset) return { status: 'invalid' };
      if (command.amount.units > hold.units) return { status: 'amount-exceeds-pending' };
      posted = command.amount.units;
    }
    const refused = this.#book(hold, -hold.units, posted);
    if (refused !== undefined) return refused;
    hold.state = command.kind === 'expire-pending' ? 'expired' : 'resolved';
    return ok;
  }

  /** Changes both accounts, or says why not. */
  #book({ debit, credit, asset }: Legs, pending: bigint, posted: bigint): ModelResult | undefined {
    const d = this.account(debit, asset);
    const c = this.account(credit, asset);
    if (d === undefined || c === undefined) throw new RangeError(`no ${debit} or ${credit}`);
    const debited = { ...d, debitsPending: d.debitsPending + pending, debitsPosted: d.debitsPosted + posted };
    const credited = {
      ...c,
      creditsPending: c.creditsPending + pending,
      creditsPosted: c.creditsPosted + posted,
    };
    const sides = [
      [debit, debited],
      [credit, credited],
    ] as const;
    for (const [path, after] of sides)
      if (!keepsFloor(path, after)) return { status: 'insufficient', account: path };
    for (const [path, after] of sides)
      if (Object.values(after).some((sum) => typeof sum === 'bigint' && sum > mostUnits))
        return { status: 'overflow', account: path };
    Object.assign(d, debited);
    Object.assign(c, credited);
    return undefined;
  }
}

function keepsFloor(path: AccountPath, account: ModelAccount): boolean {
  const floor = floorOf(path);
  if (floor === 'held') return account.debitsPosted + account.debitsPending <= account.creditsPosted;
  return floor === 'none' || account.creditsPosted <= account.debitsPosted;
}
