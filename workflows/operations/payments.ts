/**
 * Paying one intent: reserve the conflict set, build, have it signed, store the bytes, send, look what became of it.
 * Withdrawals and sweeps go the same way. Every step may run again at any point: once something is built the nonce is the intent's for good, the
 * number of the attempt says which one is meant, and what is stored is never signed anew. A withdrawal that ended although
 * something was built for its nonce goes the same way with a cancel: nothing to the sender itself, under that nonce.
 */
import {
  type Attempt,
  attemptsOf,
  isCancel,
  markBroadcast,
  outgoingOf,
  recordDead,
  saveBuilt,
  saveSigned,
} from '#chains';
import type { UnsignedTransaction } from '#chains/contract';
import { invariant, isStrongroomError, type StrongroomError } from '#core/errors';
import { derivedId, isId } from '#core/ids';
import { type ChainId, chainId, parseUnits } from '#core/money';
import type { SignResult } from '#custody/contract';
import { openCase, setHalt } from '#infra/cases';
import { inTransaction, type Queryable, type Tx } from '#infra/db';
import { failpoint } from '#infra/failpoint';
import type { SignedIntent } from '#policies/contract';
import type { OperationsDeps } from './context.ts';
import { assertRunning, haltScopes } from './halts.ts';
import { readIntent } from './intents.ts';
import { storedApprovals } from './judgement.ts';
import { returnToPeople } from './release.ts';
import { reserveForSweep, reserveForWithdrawal } from './reserve.ts';
import { isCancelling, type Payment, readSweep, readWithdrawal } from './rows.ts';
import { type EventDetails, moveSweep, moveWithdrawal, noteWithdrawal } from './state.ts';

/** How long a refused withdrawal waits before it is offered to the co-signers again. */
const refusedRetryMs = 60_000;

async function readPayment(db: Queryable, id: string, lock: '' | 'FOR UPDATE' = ''): Promise<Payment> {
  return isId('swp', id)
    ? { kind: 'sweep', row: await readSweep(db, id, lock) }
    : { kind: 'withdrawal', row: await readWithdrawal(db, id, lock) };
}

const walletOf = ({ row }: Payment) => ({ chain: row.chain, id: row.wallet_id });
const isCancelOf = (payment: Payment): boolean => payment.kind === 'withdrawal' && isCancelling(payment.row);
const isUnderWay = (payment: Payment): boolean =>
  ['SIGNING', 'BROADCAST', 'CONFIRMED'].includes(payment.row.state) || isCancelOf(payment);

/** Those that attempt numbers count: of a cancel only the cancels. */
async function attemptsFor(db: Queryable, payment: Payment): Promise<readonly Attempt[]> {
  const attempts = await attemptsOf(db, payment.row.intent_id);
  return isCancelOf(payment) ? attempts.filter((each) => isCancel(each.unsigned)) : attempts;
}

// ---------------------------------------------------------------- sign

export type SignOutcome =
  /** Attempt stored; ready to be sent. */
  | { readonly outcome: 'signed'; readonly txId: string }
  /** The payment is not under way any more, or not in a state in which this attempt makes sense. */
  | { readonly outcome: 'not-needed' }
  /** Nothing was signed; it went back to the people, or waits for them. */
  | { readonly outcome: 'refused' }
  /** The network asks for more than the cap; the attempts there are stay as they are. */
  | { readonly outcome: 'fee-cap' };

async function senderOf(deps: OperationsDeps, payment: Payment): Promise<string> {
  if (payment.kind === 'sweep') return payment.row.address;
  return (await deps.custody.hotAddress(payment.row.wallet_id)).address;
}

/** Reserved now for the first attempt of a payment; held already for every other one. */
async function conflictSetFor(deps: OperationsDeps, payment: Payment, number: number) {
  if (number === 0 && !isCancelOf(payment)) {
    const sender = await senderOf(deps, payment);
    return payment.kind === 'sweep'
      ? await reserveForSweep(deps, payment.row, sender)
      : await reserveForWithdrawal(deps, payment.row, sender);
  }
  const held = await outgoingOf(deps.pool, payment.row.intent_id);
  invariant(held !== undefined, 'a bump or a cancel goes under the nonce that is held', {
    id: payment.row.id,
  });
  return held.conflictSet;
}

/** The transaction of attempt `number`, as stored, or built now under the intent's fee cap. */
async function attemptToSign(
  deps: OperationsDeps,
  payment: Payment,
  intent: SignedIntent['intent'],
  number: number,
): Promise<Attempt | 'refused' | 'not-needed'> {
  const attempts = await attemptsFor(deps.pool, payment);
  const stored = attempts[number];
  if (stored !== undefined) return stored;
  invariant(number === attempts.length, 'attempts are made one after the other', {
    id: payment.row.id,
    number,
  });
  const adapter = deps.chains.adapter(chainId(payment.row.chain));
  const conflictSet = await conflictSetFor(deps, payment, number);
  if (typeof conflictSet === 'string') return conflictSet;
  const capUnits = parseUnits(intent.feeCap.units);
  const previous = attempts.at(-1);
  const fee =
    previous === undefined
      ? await adapter.quoteFee({ capUnits })
      : await adapter.bumpFee(previous.unsigned.fee, { capUnits });
  const output = intent.outputs[0];
  invariant(
    output !== undefined && intent.outputs.length === 1,
    'an account chain pays one output per intent',
  );
  const effect = isCancelOf(payment)
    ? { to: conflictSet.sender, units: 0n }
    : { to: output.address, units: parseUnits(output.units) };
  const unsigned: UnsignedTransaction = adapter.buildTransfer({ conflictSet, ...effect, fee });
  return await inTransaction(
    deps.pool,
    async (tx) =>
      await saveBuilt(tx, {
        id: derivedId('att', `${intent.id}/${isCancelOf(payment) ? 'cancel/' : ''}${number}`),
        intentId: intent.id,
        unsigned,
      }),
  );
}

async function askCoSigners(
  deps: OperationsDeps,
  payment: Payment,
  signed: SignedIntent,
  attempt: Attempt,
): Promise<SignResult> {
  const { row } = payment;
  const root = await deps.custody.walletRoot(row.wallet_id);
  const isPaying = !isCancelOf(payment);
  const approvals =
    payment.kind === 'withdrawal' && isPaying ? await storedApprovals(deps.pool, row.id, deps) : [];
  return await deps.custody.sign({
    wallet: row.wallet_id,
    epoch: root.epoch,
    path: signed.intent.source,
    chain: row.chain,
    unsigned: attempt.unsigned.unsigned,
    purpose: isPaying ? 'pay' : 'cancel',
    intents: [signed],
    facts: [],
    approvals: approvals.map((approval) => ({ intentId: signed.intent.id, approval })),
    policyHash: deps.policyHash,
    rosterHash: deps.rosterHash,
  });
}

/**
 * Makes sure that attempt `number` of the payment (0 the first, each next one a fee bump under the same conflict set) is
 * signed and stored.
 * @throws CHAINS_HALTED, CHAINS_NODE_UNAVAILABLE, CUSTODY_SIGNER_UNREACHABLE, CUSTODY_SESSION_ABORTED: try again
 */
export async function signPayment(
  deps: OperationsDeps,
  options: { readonly paymentId: string; readonly number: number },
): Promise<SignOutcome> {
  const payment = await readPayment(deps.pool, options.paymentId);
  if (!isUnderWay(payment) || payment.row.state === 'CONFIRMED') return { outcome: 'not-needed' };
  await assertRunning(deps.pool, walletOf(payment));
  const { signed } = await readIntent(deps.pool, payment.row.intent_id);
  let attempt: Awaited<ReturnType<typeof attemptToSign>>;
  try {
    attempt = await attemptToSign(deps, payment, signed.intent, options.number);
  } catch (error) {
    if (options.number > 0 && isStrongroomError(error) && error.code === 'CHAINS_FEE_ABOVE_CAP')
      return { outcome: 'fee-cap' };
    throw error;
  }
  if (typeof attempt === 'string') return { outcome: attempt };
  if (attempt.signed !== undefined) return { outcome: 'signed', txId: attempt.signed.txId };
  failpoint('before-sign');
  let result: SignResult;
  try {
    result = await askCoSigners(deps, payment, signed, attempt);
  } catch (error) {
    if (isStrongroomError(error) && error.code === 'CUSTODY_REFUSED') {
      await refused(deps, payment, options.number, error);
      return { outcome: 'refused' };
    }
    throw error;
  }
  failpoint('after-sign');
  const finished = deps.chains
    .adapter(chainId(payment.row.chain))
    .attach(attempt.unsigned, { compact: result.signature.compact, recoveryId: result.signature.recoveryId });
  const stored = await inTransaction(deps.pool, async (tx) => {
    const kept = await saveSigned(tx, attempt.id, finished);
    await noteOnWithdrawal(tx, deps, options.paymentId, 'signed', {
      txId: kept.txId,
      attempt: options.number,
      participants: result.participants.join(' '),
      session: result.session,
      abortedSessions: result.aborted.length,
      refusals: result.refusals.length,
    });
    return kept;
  });
  failpoint('after-store');
  return { outcome: 'signed', txId: stored.txId };
}

async function noteOnWithdrawal(
  tx: Tx,
  deps: OperationsDeps,
  id: string,
  event: string,
  details: EventDetails,
): Promise<void> {
  if (!isId('wd', id)) return;
  const row = await readWithdrawal(tx, id, 'FOR UPDATE');
  await noteWithdrawal(tx, row, { event, atMs: deps.clock.nowMs(), details });
}

/**
 * A refusal is a decision. The first attempt goes back to the people, keeping its nonce, because it is stored; a refused
 * bump leaves the attempts there are; a refused cancel stands still with one case.
 */
async function refused(
  deps: OperationsDeps,
  payment: Payment,
  number: number,
  error: StrongroomError,
): Promise<void> {
  const { row } = payment;
  await inTransaction(deps.pool, async (tx) => {
    if (isCancelOf(payment)) {
      await openCase(tx, {
        id: derivedId('case', `cancel-refused/${row.id}`),
        kind: 'cancel-refused',
        subject: row.id,
        details: { refusal: error.message.slice(0, 2000), hold: 'kept' },
      });
      return;
    }
    await openCase(tx, {
      id: derivedId('case', `signing-refused/${row.id}/${deps.clock.nowMs()}`),
      kind: 'signing-refused',
      subject: row.id,
      details: { attempt: number, refusal: error.message.slice(0, 2000) },
    });
    if (payment.kind === 'sweep') return;
    const current = await readWithdrawal(tx, row.id, 'FOR UPDATE');
    const atMs = deps.clock.nowMs();
    const event = {
      event: 'refused-by-co-signers',
      atMs,
      details: { attempt: number, refusal: error.message.slice(0, 500) },
    };
    // Another run of this activity may have got the signature.
    const isSigned = (await attemptsOf(tx, row.intent_id)).some((each) => each.signed !== undefined);
    if (number === 0 && current.state === 'SIGNING' && !isSigned)
      await returnToPeople(tx, current, event, atMs + refusedRetryMs);
    else await noteWithdrawal(tx, current, event);
  });
}

// ---------------------------------------------------------------- broadcast

export interface SendOutcome {
  readonly outcome: 'accepted' | 'maybe' | 'rejected' | 'not-needed';
}

/** Sends the newest stored bytes; safe to repeat. @throws CHAINS_HALTED */
export async function sendPayment(
  deps: OperationsDeps,
  options: { readonly paymentId: string },
): Promise<SendOutcome> {
  const payment = await readPayment(deps.pool, options.paymentId);
  if (!isUnderWay(payment)) return { outcome: 'not-needed' };
  await assertRunning(deps.pool, walletOf(payment));
  const attempt = (await attemptsFor(deps.pool, payment)).findLast((each) => each.signed !== undefined);
  if (attempt?.signed === undefined) return { outcome: 'not-needed' };
  const answer = await deps.chains.adapter(chainId(payment.row.chain)).broadcast(attempt.signed);
  failpoint('after-broadcast');
  await inTransaction(deps.pool, async (tx) => {
    await markBroadcast(tx, attempt.id, answer);
    const current = await readPayment(tx, options.paymentId, 'FOR UPDATE');
    const isSent = answer.outcome !== 'rejected';
    const details = { txId: attempt.signed?.txId ?? null, outcome: answer.outcome, detail: answer.detail };
    if (current.kind === 'sweep') {
      if (isSent && current.row.state === 'SIGNING') await moveSweep(tx, current.row, 'BROADCAST');
    } else if (isSent && current.row.state === 'SIGNING') {
      const event = { event: 'broadcast', atMs: deps.clock.nowMs(), details };
      await moveWithdrawal(tx, current.row, 'BROADCAST', event, { txid: attempt.signed?.txId ?? null });
    } else if (attempt.outcome !== answer.outcome || !isSent) {
      const event = isCancelOf(current) ? 'cancel-broadcast' : 'sent-again';
      await noteOnWithdrawal(tx, deps, options.paymentId, event, details);
    }
  });
  failpoint('after-mark');
  return { outcome: answer.outcome };
}

// ---------------------------------------------------------------- track

export interface TrackedPayment {
  /**
   * `unsigned`: no attempt is stored. `pending`: a node holds it. `lost`: send the stored bytes again. `mined`: the
   * watcher settles it at finality. `ended`: final, failed, or back with the people.
   */
  readonly status: 'unsigned' | 'pending' | 'lost' | 'mined' | 'ended';
  /** Signed attempts so far; the number of the next one. */
  readonly attempts: number;
}

/** Looks what became of the conflict set. Settles nothing: that is the watcher's, at finality. */
export async function trackPayment(
  deps: OperationsDeps,
  options: { readonly paymentId: string },
): Promise<TrackedPayment> {
  const payment = await readPayment(deps.pool, options.paymentId);
  const { row } = payment;
  const signed = (await attemptsOf(deps.pool, row.intent_id)).filter((each) => each.signed !== undefined);
  const attempts = isCancelOf(payment)
    ? signed.filter((each) => isCancel(each.unsigned)).length
    : signed.length;
  if (!isUnderWay(payment)) return { status: 'ended', attempts };
  const outgoing = await outgoingOf(deps.pool, row.intent_id);
  if (outgoing === undefined || attempts === 0) return { status: 'unsigned', attempts };
  if (outgoing.state === 'mined' || outgoing.state === 'final') return { status: 'mined', attempts };
  const outcome = await deps.chains.adapter(outgoing.conflictSet.chain).track(
    outgoing.conflictSet,
    signed.flatMap((each) => (each.signed === undefined ? [] : [each.signed.txId])),
  );
  failpoint('after-track');
  if (outcome.state === 'foreign') {
    await markDead(deps, payment, outgoing.conflictSet.chain, outcome.detail);
    return { status: 'ended', attempts };
  }
  return { status: outcome.state, attempts };
}

/** The nonce was used by a transaction we never signed: it can never be paid under it. The hold stays, a person decides. */
async function markDead(
  deps: OperationsDeps,
  payment: Payment,
  chain: ChainId,
  detail: string,
): Promise<void> {
  await inTransaction(deps.pool, async (tx) => {
    const current = await readPayment(tx, payment.row.id, 'FOR UPDATE');
    if (!isUnderWay(current)) return;
    await recordDead(tx, current.row.intent_id);
    const event = { event: 'conflict-set-dead', atMs: deps.clock.nowMs(), details: { detail, hold: 'kept' } };
    if (current.kind === 'sweep') await moveSweep(tx, current.row, 'FAILED');
    // A cancel has nothing left to do, its nonce is used up: the row ends, so that its batch can close. Its hold stays.
    else await moveWithdrawal(tx, current.row, current.row.ending ?? 'FAILED', event);
    await openCase(tx, {
      id: derivedId('case', `conflict-set-dead/${current.row.id}`),
      kind: 'conflict-set-dead',
      subject: current.row.id,
      details: { detail, hold: 'kept' },
    });
    await setHalt(tx, { scope: haltScopes.chain(chain), reason: detail });
  });
}
