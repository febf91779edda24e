/** `withdrawals`, `approve` and `reject`. */
import type { ApprovalRequest, WithdrawalView } from '#workflows/contract';
import { readAssets, type ShowAmount } from '../assets.ts';
import { type Connection, call } from '../client.ts';
import { formatTable, formatTime } from '../format.ts';
import type { Output } from '../output.ts';
import { readPasskey, signShown } from '../passkey.ts';

const pathOf = (id: string): string => `/v1/withdrawals/${encodeURIComponent(id)}`;

function describe(view: WithdrawalView, show: ShowAmount): string {
  const missing = Object.entries(view.missingApprovals).map(([group, count]) => `${count} of ${group}`);
  const lines = [
    `${view.id}  ${view.state}`,
    `  ${show(view.asset, view.units)} of ${view.asset} to ${view.address}`,
    ...(view.txId === null ? [] : [`  transaction ${view.txId}`]),
    ...(view.decision?.outcome === 'deny' ? [`  ${view.decision.reason}`] : []),
    ...(missing.length === 0 ? [] : [`  still needs ${missing.join(', ')}`]),
    ...view.timeline.map((entry) => `  ${formatTime(entry.at)}  ${entry.state}  ${entry.event}`),
  ];
  return lines.join('\n');
}

export async function showWithdrawals(
  connection: Connection,
  filter: { id?: string; state?: string; limit?: string },
  output: Output,
): Promise<void> {
  if (filter.id !== undefined) {
    const view = await call<WithdrawalView>(connection, 'GET', pathOf(filter.id));
    output.show(view, describe(view, await readAssets(connection)));
    return;
  }
  const query = new URLSearchParams();
  if (filter.state !== undefined) query.set('state', filter.state);
  if (filter.limit !== undefined) query.set('limit', filter.limit);
  const answer = await call<{ withdrawals: WithdrawalView[] }>(
    connection,
    'GET',
    `/v1/withdrawals?${query.toString()}`,
  );
  const show = await readAssets(connection);
  const rows = [
    ['id', 'state', 'amount', 'asset', 'address', 'needs'],
    ...answer.withdrawals.map((view) => [
      view.id,
      view.state,
      show(view.asset, view.units),
      view.asset,
      view.address,
      Object.entries(view.missingApprovals)
        .map(([group, count]) => `${group}:${count}`)
        .join(' '),
    ]),
  ];
  output.show(answer, answer.withdrawals.length === 0 ? 'no withdrawals' : formatTable(rows));
}

/**
 * Signs the statement the api gives with a development passkey and sends it.
 * @throws CLI_FILE_INVALID, CLI_SHOWN_OTHERWISE, and the api's POLICY_APPROVAL_REFUSED, WITHDRAWAL_*
 */
export async function decide(
  connection: Connection,
  options: { id: string; decision: 'approve' | 'reject'; group: string; passkeyFile: string },
  output: Output,
): Promise<void> {
  const { person, passkey } = readPasskey(options.passkeyFile);
  const ask = { decision: options.decision, group: options.group, approver: person };
  const request = await call<ApprovalRequest>(
    connection,
    'POST',
    `${pathOf(options.id)}/approval-request`,
    ask,
  );
  const about = request.statement;
  const isShown =
    about.decision === options.decision &&
    about.requestId === request.withdrawal.intentId &&
    about.intentHash === request.withdrawal.intentHash;
  const assertion = signShown(request, { passkey, isShown });
  const view = await call<WithdrawalView>(connection, 'POST', `${pathOf(options.id)}/approvals`, {
    ...ask,
    notAfter: about.notAfter,
    assertion,
  });
  const verb = options.decision === 'approve' ? 'approved' : 'rejected';
  output.show(view, `${verb} as ${person}\n${describe(view, await readAssets(connection))}`);
}
