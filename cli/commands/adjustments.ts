/** `adjustments`: corrections of the ledger; one person proposes, another approves, each with a passkey. */
import { z } from 'zod';
import { errorsOf } from '#core/errors';
import { type AdjustmentDocument, adjustmentHash, isReadable, parseAdjustment } from '#ledger/contract';
import type { AdjustmentRequest, AdjustmentView } from '#workflows';
import { readAssets, type ShowAmount } from '../assets.ts';
import { readJsonFile } from '../certificate/document.ts';
import { type Connection, call } from '../client.ts';
import { cliErrors } from '../contract.ts';
import { formatTime } from '../format.ts';
import type { Output } from '../output.ts';
import { readPasskey, signShown } from '../passkey.ts';

const fail = errorsOf(cliErrors);
const root = '/v1/adjustments';
const pathOf = (id: string): string => `${root}/${encodeURIComponent(id)}`;

/** The rest is the api's to refuse. */
const proposalFile = z.strictObject({
  reason: z.string(),
  corrects: z.string().optional(),
  legs: z.array(
    z.strictObject({ debit: z.string(), credit: z.string(), asset: z.string(), units: z.string() }),
  ),
});

/** As this side computes it: of what the person is shown, not of what the api says it is. */
const hashOf = (content: AdjustmentDocument): string => adjustmentHash(parseAdjustment(content));

/** Whether what people read here is what they approve by its id. */
function isNamed(view: AdjustmentDocument & { readonly id: string }): boolean {
  try {
    return hashOf(view) === view.id && isReadable(view.reason);
  } catch {
    return false; // not even the form of an adjustment
  }
}

/** In base units as well: decimals are the api's word, and only base units are signed. */
function amountText(show: ShowAmount, asset: string, units: string): string {
  const [shown, base] = [show(asset, units), `${units} base units`];
  return shown === base ? base : `${shown} (${base})`;
}

function legsOf({ reason, corrects, proposedBy, legs }: AdjustmentDocument, show: ShowAmount): string[] {
  return [
    `  ${proposedBy}: ${reason}`,
    ...(corrects === undefined ? [] : [`  corrects ${corrects}`]),
    ...legs.map(
      ({ debit, credit, asset, units }) =>
        `  ${amountText(show, asset, units)} of ${asset}: debit ${debit}, credit ${credit}`,
    ),
  ];
}

function describe(view: AdjustmentView, show: ShowAmount): string {
  if (!isNamed(view))
    return `${view.id}  NOT SHOWN: what the api shows as this one has another hash, or no readable reason`;
  return [
    `${view.id}  ${view.state}  ${formatTime(view.proposedAt)}`,
    ...legsOf(view, show),
    ...view.people
      .filter(({ act, defect }) => act === 'approve' || defect !== null)
      .map(
        ({ act, person, defect }) =>
          `  ${act === 'approve' ? 'approved' : 'proposed'} by ${person}${defect === null ? '' : `: SIGNATURE NOT GOOD (${defect})`}`,
      ),
    ...(view.refused === null ? [] : [`  not booked: ${view.refused.code}: ${view.refused.message}`]),
  ].join('\n');
}

/** Exit code 1 while an approved adjustment is not booked. */
async function show(connection: Connection, view: AdjustmentView, output: Output): Promise<number> {
  output.show(view, describe(view, await readAssets(connection)));
  return view.refused === null ? 0 : 1;
}

/** Exit code 1 when the api shows one that is not what its id says. */
export async function listAdjustments(
  connection: Connection,
  filter: { readonly open: boolean },
  output: Output,
): Promise<number> {
  const answer = await call<{ adjustments: AdjustmentView[] }>(
    connection,
    'GET',
    `${root}?open=${String(filter.open)}`,
  );
  const assets = await readAssets(connection);
  const texts = answer.adjustments.map((view) => describe(view, assets));
  output.show(answer, texts.length === 0 ? 'no adjustments' : texts.join('\n'));
  return answer.adjustments.every(isNamed) ? 0 : 1;
}

/** @throws CLI_SHOWN_OTHERWISE when what is to be signed is not what is shown */
function signatureOf(
  { statement, challenge }: AdjustmentRequest,
  wanted: {
    readonly act: 'propose' | 'approve';
    readonly content: AdjustmentDocument;
    readonly file: string;
  },
) {
  const { person, passkey } = readPasskey(wanted.file);
  const isShown =
    statement.act === wanted.act &&
    statement.approver === person &&
    statement.adjustment === hashOf(wanted.content);
  return {
    notAfter: statement.notAfter,
    assertion: signShown({ statement, challenge }, { passkey, isShown }),
  };
}

/** @throws CLI_FILE_INVALID, CLI_SHOWN_OTHERWISE, and the api's LEDGER_*, POLICY_APPROVAL_REFUSED */
export async function proposeAdjustment(
  connection: Connection,
  options: { readonly file: string; readonly passkeyFile: string },
  output: Output,
): Promise<number> {
  const { person: proposedBy } = readPasskey(options.passkeyFile);
  const content = { ...readJsonFile(options.file, proposalFile), proposedBy };
  const request = await call<AdjustmentRequest>(connection, 'POST', `${root}/proposal-request`, content);
  const signature = signatureOf(request, { act: 'propose', content, file: options.passkeyFile });
  const view = await call<AdjustmentView>(connection, 'POST', root, { ...content, ...signature });
  return await show(connection, view, output);
}

/**
 * Signs the content that has this id, as `adjustments list` shows it; the id is computed here.
 * @throws CLI_FILE_INVALID, CLI_SHOWN_OTHERWISE, and the api's LEDGER_ADJUSTMENT_*, POLICY_APPROVAL_REFUSED
 */
export async function approveAdjustment(
  connection: Connection,
  options: { readonly id: string; readonly passkeyFile: string },
  output: Output,
): Promise<number> {
  const { id } = options;
  const { person: approver } = readPasskey(options.passkeyFile);
  const request = await call<AdjustmentRequest>(connection, 'POST', `${pathOf(id)}/approval-request`, {
    approver,
  });
  const content = request.adjustment;
  if (!isNamed({ ...content, id }))
    throw fail('CLI_SHOWN_OTHERWISE', `the api shows another adjustment than ${id}; nothing was signed`);
  const signature = signatureOf(request, { act: 'approve', content, file: options.passkeyFile });
  const view = await call<AdjustmentView>(connection, 'POST', `${pathOf(id)}/approvals`, {
    approver,
    ...signature,
  });
  return await show(connection, view, output);
}

export async function bookAdjustment(connection: Connection, id: string, output: Output): Promise<number> {
  return await show(
    connection,
    await call<AdjustmentView>(connection, 'POST', `${pathOf(id)}/booking`),
    output,
  );
}
