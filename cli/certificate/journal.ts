/** The journal of a certificate: rebuilt from the intent by the templates that every payment is booked with. */
import { parseId } from '#core/ids';
import { amount, assetId, parseUnits } from '#core/money';
import {
  chainHot,
  networkFeePaid,
  networkFeeReserve,
  type TransferCommand,
  withdrawalHold,
  withdrawalPaid,
} from '#ledger/contract';
import { intentUnits } from '#policies';
import { demand } from './demand.ts';
import type { CertificateDocument } from './document.ts';

type Leg = CertificateDocument['journal'][number];

/** The certificate alone says whose account was debited: an intent does not name it. */
function customerOf(journal: readonly Leg[]) {
  const hold = journal.find((leg) => leg.kind === 'pending' && leg.code === 'withdrawal-hold');
  const path = /^customer:(acc_[^:]+):main$/.exec(hold?.debit ?? '');
  demand(path?.[1] !== undefined, 'no hold on a customer account stands in it');
  return parseId('acc', path[1]);
}

function expectedCommands(certificate: CertificateDocument): readonly TransferCommand[] {
  const { intent } = certificate.intent;
  const withdrawalId = parseId('wd', certificate.withdrawalId);
  const walletId = parseId('wal', certificate.wallet.id);
  const paid = amount(assetId(intent.asset), intentUnits(intent));
  const feeAsset = assetId(intent.feeCap.asset);
  return [
    ...withdrawalHold({ withdrawalId, walletId, accountId: customerOf(certificate.journal), amount: paid }),
    ...networkFeeReserve({
      feeOwner: withdrawalId,
      payer: chainHot(walletId),
      cap: amount(feeAsset, parseUnits(intent.feeCap.units)),
    }),
    ...networkFeePaid({
      feeOwner: withdrawalId,
      fee: amount(feeAsset, parseUnits(certificate.inclusion.feeUnits)),
    }),
    ...withdrawalPaid({ withdrawalId, amount: paid }),
  ];
}

/** The legs of a posting are those of the reservation it resolves. */
function legsOf(command: TransferCommand, all: readonly TransferCommand[]): Pick<Leg, 'debit' | 'credit'> {
  const moving =
    'pendingId' in command ? all.find((candidate) => candidate.id === command.pendingId) : command;
  demand(moving !== undefined && 'debit' in moving, `${command.id} resolves nothing`);
  return { debit: moving.debit, credit: moving.credit };
}

/** Hold, fee reserve and what they became: exactly these, each with the id that follows from the withdrawal's. */
export function checkJournal(certificate: CertificateDocument): string {
  const expected = expectedCommands(certificate);
  const { journal, inclusion } = certificate;
  demand(
    journal.length === expected.length,
    `${journal.length} entries stand in it, ${expected.length} pay a withdrawal`,
  );
  for (const command of expected) {
    demand('amount' in command, `${command.id} moves nothing`);
    const wanted: Leg = {
      id: command.id,
      kind: command.kind,
      ...legsOf(command, expected),
      asset: command.amount.asset,
      units: command.amount.units.toString(),
      code: command.code,
    };
    const found = journal.find((leg) => leg.id === wanted.id);
    demand(found !== undefined, `the entry ${wanted.id} (${wanted.kind} of ${wanted.code}) is missing`);
    const wrong = (Object.keys(wanted) as (keyof Leg)[]).filter((key) => found[key] !== wanted[key]);
    demand(wrong.length === 0, `${wrong.join(', ')} of the entry ${wanted.id} is not what was paid`);
  }
  const { debit, credit } = legsOf(expected[0] as TransferCommand, expected);
  return `${debit} -> ${credit}, fee ${inclusion.feeUnits}`;
}
