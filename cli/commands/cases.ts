/** `cases` and `halts`: what waits for a person, working on it, and lifting what stands still. */
import type { HaltLiftOutcome, HaltLiftRequest } from '#workflows';
import { type Connection, call } from '../client.ts';
import { formatAge, formatTable, formatTime } from '../format.ts';
import type { Output } from '../output.ts';
import { readPasskey, signShown } from '../passkey.ts';

interface CaseView {
  readonly id: string;
  readonly kind: string;
  readonly subject: string;
  readonly details: unknown;
  readonly openedAt: number;
  readonly ageMs: number;
  readonly owner: string | null;
}
interface CaseRecordView extends CaseView {
  readonly closed: { readonly at: number; readonly by: string; readonly resolution: string } | null;
  readonly history: readonly { at: number; event: string; actor: string; note: string }[];
}
interface Incidents {
  readonly cases: readonly CaseView[];
  readonly halts: readonly { scope: string; reason: string; setAt: number }[];
}

const casePath = (id: string): string => `/v1/cases/${encodeURIComponent(id)}`;

export async function showCases(connection: Connection, output: Output): Promise<void> {
  const incidents = await call<Incidents>(connection, 'GET', '/v1/cases');
  const { cases, halts } = incidents;
  const caseRows = [
    ['case', 'kind', 'subject', 'owner', 'age'],
    ...cases.map((each) => [each.id, each.kind, each.subject, each.owner ?? '-', formatAge(each.ageMs)]),
  ];
  const haltRows = [
    ['halted', 'reason', 'since'],
    ...halts.map((each) => [each.scope, each.reason, formatTime(each.setAt)]),
  ];
  output.show(
    incidents,
    [
      cases.length === 0 ? 'no open cases' : formatTable(caseRows),
      halts.length === 0 ? 'nothing is halted' : formatTable(haltRows),
    ].join('\n'),
  );
}

function describe(record: CaseRecordView): string {
  const { closed } = record;
  return [
    `${record.id}  ${record.kind} of ${record.subject}`,
    closed === null
      ? `  open for ${formatAge(record.ageMs)}, owner ${record.owner ?? 'nobody'}`
      : `  closed by ${closed.by}: ${closed.resolution}`,
    `  ${JSON.stringify(record.details)}`,
    ...record.history.map((each) =>
      `  ${formatTime(each.at)}  ${each.event} by ${each.actor}  ${each.note}`.trimEnd(),
    ),
  ].join('\n');
}

export async function showCase(connection: Connection, id: string, output: Output): Promise<void> {
  const record = await call<CaseRecordView>(connection, 'GET', casePath(id));
  output.show(record, describe(record));
}

export async function workOnCase(
  connection: Connection,
  id: string,
  action: Readonly<Record<string, string>>,
  output: Output,
): Promise<void> {
  const record = await call<CaseRecordView>(connection, 'POST', `${casePath(id)}/actions`, action);
  output.show(record, describe(record));
}

/**
 * Signs for lifting the halt.
 * @throws CLI_FILE_INVALID, CLI_SHOWN_OTHERWISE, and the api's HALT_UNKNOWN, POLICY_APPROVAL_REFUSED
 */
export async function liftHalt(
  connection: Connection,
  options: { readonly scope: string; readonly reason: string; readonly passkeyFile: string },
  output: Output,
): Promise<void> {
  const { person: approver, passkey } = readPasskey(options.passkeyFile);
  const { scope, reason } = options;
  const path = `/v1/halts/${encodeURIComponent(scope)}`;
  const ask = { approver, reason };
  const request = await call<HaltLiftRequest>(connection, 'POST', `${path}/lift-request`, ask);
  const { statement } = request;
  const isShown = statement.scope === scope && statement.reason === reason && statement.approver === approver;
  const assertion = signShown(request, { passkey, isShown });
  const outcome = await call<HaltLiftOutcome>(connection, 'POST', `${path}/lifts`, {
    ...ask,
    notAfter: statement.notAfter,
    assertion,
  });
  const told = outcome.lifted
    ? `${scope} goes on: ${outcome.people.join(' and ')} have lifted the halt`
    : `${scope} stays halted (${statement.haltReason}): ${outcome.missing} more of the roster must sign`;
  output.show(outcome, `signed as ${approver}\n${told}`);
}
