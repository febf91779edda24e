/** What one step along a chain leads to, gathered so that the ledger is written once and last. */
import type { ChainId } from '#core/money';
import type { Tx } from '#infra/db';
import type { TransferCommand } from '#ledger/contract';
import type { OperationsDeps } from './context.ts';

export interface StepWork {
  readonly tx: Tx;
  readonly deps: OperationsDeps;
  readonly chain: ChainId;
  readonly commands: TransferCommand[];
  /** Transactions of ours that this step settles. */
  readonly settled: string[];
}
