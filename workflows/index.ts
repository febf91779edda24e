/** The facade: the operations the api offers, and those that treasury and the proof need. */
import { type CaseRecord, type Halt, type IncidentCase, listHalts, openCases } from '#infra/cases';
import type { HaltLift } from '#policies';
import type { Operations } from './contract.ts';
import {
  balances,
  createAccount,
  depositAddress,
  deposits,
  openHouseAccounts,
} from './operations/accounts.ts';
import { type AdjustmentOperations, createAdjustmentOperations } from './operations/adjustments.ts';
import { approvalRequest, cancelWithdrawal, submitApproval } from './operations/approvals.ts';
import { type CaseAction, caseRecord, workOnCase } from './operations/case-work.ts';
import { certificate } from './operations/certificates.ts';
import type { OperationsDeps } from './operations/context.ts';
import {
  type HaltLiftOutcome,
  type HaltLiftRequest,
  haltLiftRequest,
  submitHaltLift,
} from './operations/halt-lifts.ts';
import { declareHouseFloat, type InflowView, inflows } from './operations/inflows.ts';
import { type BooksAtCursor, booksAtCursor } from './operations/proof.ts';
import { type ReconciliationState, reconciliationState } from './operations/reconciliation/state.ts';
import { requestWithdrawal } from './operations/request.ts';
import { type SweepView, sweeps } from './operations/sweeps.ts';
import { withdrawal, withdrawals } from './operations/views.ts';

export { openDeps, readCommittee, readServiceKey } from './deps.ts';
export type {
  AdjustmentOperations,
  AdjustmentRequest,
  AdjustmentView,
} from './operations/adjustments.ts';
export type { ChainSettings, IntentSigner, OperationsDeps, WalletSettings } from './operations/context.ts';
export type { HaltLiftOutcome, HaltLiftRequest } from './operations/halt-lifts.ts';
export type { InflowView } from './operations/inflows.ts';
export { movementOrigin } from './operations/movement.ts';
export type { CustodyPort, OwnAddress } from './operations/ports.ts';
export type { BooksAtCursor } from './operations/proof.ts';
export type { ReconciliationState } from './operations/reconciliation/state.ts';
export type { SweepView } from './operations/sweeps.ts';
export { type OperationsConfig, operationsConfigSchema, serviceKeySchema } from './worker-config.ts';

/** What treasury and the proof need: inflows, sweeps, the house's accounts, the books. */
export interface TreasuryOperations {
  /** Opens the house's accounts and the wallets' mirrors; safe at every start. */
  openHouseAccounts(): Promise<void>;
  inflows(walletId: string): Promise<readonly InflowView[]>;
  /** @throws INFLOW_UNKNOWN */
  declareHouseFloat(options: { chain: string; txId: string; index: number }): Promise<void>;
  sweeps(walletId: string): Promise<readonly SweepView[]>;
  booksAtCursor(): Promise<readonly BooksAtCursor[]>;
  /** The last runs of each chain and the breaks that stand; read only. */
  reconciliation(): Promise<readonly ReconciliationState[]>;
  /** @throws CASE_UNKNOWN */
  caseRecord(id: string): Promise<CaseRecord>;
  /** @throws CASE_UNKNOWN, CASE_OWNER_UNKNOWN, INFRA_CASE_NOT_OPEN */
  workOnCase(options: { readonly id: string; readonly by: string } & CaseAction): Promise<CaseRecord>;
  /** @throws HALT_UNKNOWN, POLICY_APPROVAL_REFUSED */
  haltLiftRequest(ask: {
    readonly scope: string;
    readonly approver: string;
    readonly reason: string;
  }): Promise<HaltLiftRequest>;
  /** @throws HALT_UNKNOWN, POLICY_APPROVAL_REFUSED */
  submitHaltLift(said: HaltLift & { readonly scope: string }): Promise<HaltLiftOutcome>;
  /** Corrections of the ledger by two people. */
  readonly adjustments: AdjustmentOperations;
  /** What waits for a person and what stands still until then; read only. */
  incidents(): Promise<{ readonly cases: readonly IncidentCase[]; readonly halts: readonly Halt[] }>;
}

export type AllOperations = Operations & TreasuryOperations;

export function createOperations(deps: OperationsDeps): AllOperations {
  return {
    createAccount: (options) => createAccount(deps, options),
    depositAddress: (options) => depositAddress(deps, options),
    balances: (accountId) => balances(deps, accountId),
    deposits: (accountId) => deposits(deps, accountId),
    requestWithdrawal: (options) => requestWithdrawal(deps, options),
    withdrawal: (id) => withdrawal(deps, id),
    withdrawals: (filter) => withdrawals(deps, filter),
    approvalRequest: (options) => approvalRequest(deps, options),
    submitApproval: (options) => submitApproval(deps, options),
    cancelWithdrawal: (id) => cancelWithdrawal(deps, id),
    certificate: (id) => certificate(deps, id),
    openHouseAccounts: () => openHouseAccounts(deps),
    inflows: (walletId) => inflows(deps, walletId),
    declareHouseFloat: (options) => declareHouseFloat(deps, options),
    sweeps: (walletId) => sweeps(deps, walletId),
    booksAtCursor: () => booksAtCursor(deps),
    reconciliation: () => reconciliationState(deps),
    caseRecord: (id) => caseRecord(deps, id),
    workOnCase: (options) => workOnCase(deps, options),
    haltLiftRequest: (ask) => haltLiftRequest(deps, ask),
    submitHaltLift: (said) => submitHaltLift(deps, said),
    adjustments: createAdjustmentOperations(deps),
    incidents: async () => ({ cases: await openCases(deps.pool), halts: await listHalts(deps.pool) }),
  };
}
