/** The journal of a certificate: rebuilt from the intent by the templates that every payment is booked with. */
import { parseId } from '#core/ids';
import { amount, assetId, parseUnits } from '#core/money';
import {
  chainHot,
  customerMain,
  networkFeePaid,
  networkFeeReleased,
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
  const cap = amount(feeAsset, parseUnits(intent.feeCap.units));
  const fee = amount(feeAsset, parseUnits(certificate.inclusion.feeUnits));
  // Each time a nonce was given back its fee was released, and reserved again with the next one.
  const last =
    certificate.journal.filter((leg) => leg.kind === 'pending' && leg.code === 'network-fee').length - 1;
  const fees = Array.from({ length: last + 1 }, (_, round) => [
    ...networkFeeReserve({ feeOwner: withdrawalId, round, payer: chainHot(walletId), cap }),
    ...(round === last
      ? networkFeePaid({ feeOwner: withdrawalId, round, fee })
      : networkFeeReleased({ feeOwner: withdrawalId, round })),
  ]).flat();
  return [
    ...withdrawalHold({ withdrawalId, walletId, accountId: customerOf(certificate.journal), amount: paid }),
    ...fees,
    ...withdrawalPaid({ withdrawalId, amount: paid }),
  ];
}

/** How the journal shows a command: what resolves a reservation has its legs, and a release its whole amount. */
function legOf(command: TransferCommand, all: readonly TransferCommand[]): Leg {
  demand(!('account' in command), `${command.id} moves nothing`);
  const moving =
    'pendingId' in command ? all.find((candidate) => candidate.id === command.pendingId) : command;
  demand(moving !== undefined && 'debit' in moving, `${command.id} resolves nothing`);
  const moved = 'amount' in command ? command.amount : moving.amount;
  return {
    id: command.id,
    kind: command.kind,
    debit: moving.debit,
    credit: moving.credit,
    asset: moved.asset,
    units: moved.units.toString(),
    code: command.code,
  };
}

/** Hold, fee reserves and what they became: exactly these, each with the id that follows from the withdrawal's. */
export function checkJournal(certificate: CertificateDocument): string {
  const expected = expectedCommands(certificate);
  const { journal, inclusion, wallet } = certificate;
  demand(
    journal.length === expected.length,
    `${journal.length} entries stand in it, ${expected.length} pay a withdrawal`,
  );
  for (const command of expected) {
    const wanted = legOf(command, expected);
    const found = journal.find((leg) => leg.id === wanted.id);
    demand(found !== undefined, `the entry ${wanted.id} (${wanted.kind} of ${wanted.code}) is missing`);
    const wrong = (Object.keys(wanted) as (keyof Leg)[]).filter((key) => found[key] !== wanted[key]);
    demand(wrong.length === 0, `${wrong.join(', ')} of the entry ${wanted.id} is not what was paid`);
  }
  return `${customerMain(customerOf(journal))} -> chain:hot of ${wallet.id}, fee ${inclusion.feeUnits}`;
}
