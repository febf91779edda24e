/** What every step of the demo works with, and the moves several steps share. */
import { randomBytes } from 'node:crypto';
import { newId } from '#core/ids';
import type { RunningEnvironment } from '../environment.ts';
import type { SuiteFiles } from '../suite-files.ts';
import type { ApiClient, Balance, Deposit, Withdrawal } from './api-client.ts';
import { type ChainClient, until } from './chain-client.ts';
import type { Story } from './story.ts';

export const ether = 10n ** 18n;
export const asset = 'eip155:31337/slip44:60';
export const chain = 'eip155:31337';
/** Blocks after which a block is final on the demo's node: it finalises two blocks behind its head. */
const blocksToFinal = 3;

export interface DemoContext {
  readonly environment: RunningEnvironment;
  readonly files: SuiteFiles;
  readonly api: ApiClient;
  readonly node: ChainClient;
  readonly story: Story;
  /** Funded accounts of the node: the outside world. */
  readonly strangers: readonly string[];
  /** Filled by the steps as they go. */
  readonly found: {
    accountId: string;
    depositAddress: string;
    hotAddress: string;
    withdrawals: string[];
  };
}

const clock = { nowMs: () => Date.now() };
const random = { bytes: (length: number) => randomBytes(length) };
export const makeId = <P extends 'acc' | 'key' | 'spt' | 'wd'>(prefix: P) => newId(prefix, clock, random);

/** A new address that nothing was ever paid to: what it holds in the end is what was paid once. */
export const freshAddress = (): string => `0x${randomBytes(20).toString('hex')}`;

export async function mineToFinality(context: DemoContext): Promise<void> {
  await context.node.mine(blocksToFinal);
}

export async function depositOf(context: DemoContext, txId: string): Promise<Deposit | undefined> {
  const { deposits } = await context.api.call<{ deposits: Deposit[] }>(
    'trading',
    'GET',
    `/v1/accounts/${context.found.accountId}/deposits`,
  );
  return deposits.find((deposit) => deposit.txId === txId);
}

export async function waitForDeposit(context: DemoContext, txId: string, state: string): Promise<Deposit> {
  return await until(`deposit ${txId} to be ${state}`, async () => {
    const deposit = await depositOf(context, txId);
    return deposit?.state === state ? deposit : undefined;
  });
}

/** Of the customer who deposits, in ether, unless it is said otherwise. */
export async function balance(
  context: DemoContext,
  of: { readonly accountId?: string; readonly asset?: string } = {},
): Promise<Balance> {
  const { accountId = context.found.accountId, asset: wanted = asset } = of;
  const { balances } = await context.api.call<{ balances: Balance[] }>(
    'trading',
    'GET',
    `/v1/accounts/${accountId}/balances`,
  );
  const none = { asset: wanted, available: '0', held: '0', provisional: '0' };
  return balances.find((row) => row.asset === wanted) ?? none;
}

export async function requestWithdrawal(
  context: DemoContext,
  options: { units: bigint; address: string; accountId?: string },
): Promise<Withdrawal> {
  const id = makeId('wd');
  context.found.withdrawals.push(id);
  return await context.api.call<Withdrawal>('trading', 'PUT', `/v1/withdrawals/${id}`, {
    accountId: options.accountId ?? context.found.accountId,
    asset,
    address: options.address,
    units: options.units.toString(),
  });
}

export const readWithdrawal = async (context: DemoContext, id: string): Promise<Withdrawal> =>
  await context.api.call<Withdrawal>('trading', 'GET', `/v1/withdrawals/${id}`);

/** Waits for a state. With `mine` the chain goes on meanwhile; an end that is not the wanted one fails at once. */
export async function waitForWithdrawal(
  context: DemoContext,
  id: string,
  state: string,
  options: { mine?: boolean; timeoutMs?: number } = {},
): Promise<Withdrawal> {
  const ends = new Set(['FINAL', 'REJECTED', 'EXPIRED', 'CANCELLED', 'FAILED']);
  return await until(
    `withdrawal ${id} to be ${state}`,
    async () => {
      if (options.mine === true) await context.node.mine(1);
      const found = await readWithdrawal(context, id);
      if (found.state === state) return found;
      if (ends.has(found.state)) throw new Error(`withdrawal ${id} is ${found.state}, not ${state}`);
      return undefined;
    },
    { timeoutMs: options.timeoutMs ?? 90_000, everyMs: 150 },
  );
}

/** Every transaction of the chain that pays this address, read from the node. */
export async function paymentsTo(context: DemoContext, address: string): Promise<readonly string[]> {
  const wanted = address.toLowerCase();
  const found: string[] = [];
  for (let height = await context.node.height(); height > 0; height--) {
    const block = await context.node.block(height);
    for (const transaction of block.transactions)
      if (transaction.to?.toLowerCase() === wanted) found.push(transaction.hash);
  }
  return found;
}

export function assertThat(condition: boolean, otherwise: string): asserts condition {
  if (!condition) throw new Error(otherwise);
}
