/** The ledger written as plainly as possible, in memory: what `ledger.apply_batch` must agree with. */
import type { Id } from '#core/ids';
import {
  type AccountPath,
  accountKind,
  accountRules,
  type TransferCommand,
  type TransferStatus,
} from '#ledger/contract';

interface ModelAccount {
  debitsPending: bigint;
  debitsPosted: bigint;
  creditsPending: bigint;
  creditsPosted: bigint;
}
interface ModelHold {
  readonly debit: AccountPath;
  readonly credit: AccountPath;
  readonly asset: string;
  readonly units: bigint;
  state: 'pending' | 'resolved';
}
interface ModelState {
  readonly accounts: Map<string, ModelAccount>;
  readonly holds: Map<Id<'tr'>, ModelHold>;
  readonly journal: Map<Id<'tr'>, string>;
}

const keyOf = (path: AccountPath, asset: string): string => `${path} ${asset}`;
const copyOf = <V extends object>(map: Map<string, V>): Map<string, V> =>
  new Map([...map].map(([key, value]) => [key, { ...value }]));

function contentOf(command: TransferCommand): string {
  const { linked: _linked, at: _at, ...content } = command;
  return JSON.stringify(content, (_key, value: unknown) =>
    typeof value === 'bigint' ? value.toString() : value,
  );
}

export class LedgerModel {
  #state: ModelState = { accounts: new Map(), holds: new Map(), journal: new Map() };

  open(path: AccountPath, asset: string): void {
    const empty = { debitsPending: 0n, debitsPosted: 0n, creditsPending: 0n, creditsPosted: 0n };
    this.#state.accounts.set(keyOf(path, asset), empty);
  }

  account(path: AccountPath, asset: string): ModelAccount | undefined {
    return this.#state.accounts.get(keyOf(path, asset));
  }

  apply(commands: readonly TransferCommand[]): TransferStatus[] {
    const results: TransferStatus[] = [];
    for (let start = 0; start < commands.length; ) {
      let end = start;
      while (commands[end]?.linked === true && end + 1 < commands.length) end++;
      results.push(...this.#applyChain(commands.slice(start, end + 1)));
      start = end + 1;
    }
    return results;
  }

  #applyChain(chain: readonly TransferCommand[]): TransferStatus[] {
    const before: ModelState = {
      accounts: copyOf(this.#state.accounts),
      holds: copyOf(this.#state.holds) as ModelState['holds'],
      journal: new Map(this.#state.journal),
    };
    const statuses: TransferStatus[] = [];
    for (const [index, command] of chain.entries()) {
      const isOpenEnd = command.linked === true && index === chain.length - 1;
      const status = isOpenEnd ? 'invalid' : this.#applyOne(command);
      statuses.push(status);
      if (status !== 'ok' && status !== 'exists' && (chain.length > 1 || isOpenEnd)) {
        this.#state = before;
        return chain.map((_, other) => (other === index ? status : 'linked-failed'));
      }
    }
    return statuses;
  }

  #applyOne(command: TransferCommand): TransferStatus {
    const earlier = this.#state.journal.get(command.id);
    if (earlier !== undefined) return earlier === contentOf(command) ? 'exists' : 'conflict';
    if (
      command.kind !== 'post' &&
      command.kind !== 'pending' &&
      command.kind !== 'post-pending' &&
      command.kind !== 'void-pending'
    )
      throw new RangeError(`the model does not know ${command.kind}`);
    const status = 'pendingId' in command ? this.#resolve(command) : this.#move(command);
    if (status === 'ok') this.#state.journal.set(command.id, contentOf(command));
    return status;
  }

  #move(command: Extract<TransferCommand, { kind: 'post' | 'pending' }>): TransferStatus {
    const { debit, credit, amount } = command;
    if (debit === credit || amount.units === 0n) return 'invalid';
    if (this.account(debit, amount.asset) === undefined || this.account(credit, amount.asset) === undefined)
      return 'unknown-account';
    const [pending, posted] = command.kind === 'pending' ? [amount.units, 0n] : [0n, amount.units];
    if (!this.#book(debit, credit, amount.asset, pending, posted)) return 'insufficient';
    if (command.kind === 'pending')
      this.#state.holds.set(command.id, {
        debit,
        credit,
        asset: amount.asset,
        units: amount.units,
        state: 'pending',
      });
    return 'ok';
  }

  #resolve(command: Extract<TransferCommand, { kind: 'post-pending' | 'void-pending' }>): TransferStatus {
    const hold = this.#state.holds.get(command.pendingId);
    if (hold === undefined) return 'pending-not-found';
    if (hold.state === 'resolved') return 'pending-resolved';
    let posted = 0n;
    if (command.kind === 'post-pending') {
      if (command.amount.units === 0n || command.amount.asset !== hold.asset) return 'invalid';
      if (command.amount.units > hold.units) return 'amount-exceeds-pending';
      posted = command.amount.units;
    }
    if (!this.#book(hold.debit, hold.credit, hold.asset, -hold.units, posted)) return 'insufficient';
    hold.state = 'resolved';
    return 'ok';
  }

  #book(debit: AccountPath, credit: AccountPath, asset: string, pending: bigint, posted: bigint): boolean {
    const d = this.account(debit, asset);
    const c = this.account(credit, asset);
    if (d === undefined || c === undefined) return false;
    const after = { ...d, debitsPending: d.debitsPending + pending, debitsPosted: d.debitsPosted + posted };
    const creditAfter = {
      ...c,
      creditsPending: c.creditsPending + pending,
      creditsPosted: c.creditsPosted + posted,
    };
    if (!keepsFloor(debit, after) || !keepsFloor(credit, creditAfter)) return false;
    Object.assign(d, after);
    Object.assign(c, creditAfter);
    return true;
  }
}

function keepsFloor(path: AccountPath, account: ModelAccount): boolean {
  const { floor } = accountRules[accountKind(path)];
  if (floor === 'held') return account.debitsPosted + account.debitsPending <= account.creditsPosted;
  return floor === 'none' || account.creditsPosted <= account.debitsPosted;
}
