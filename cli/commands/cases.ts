/** `cases`: what waits for a person, and what stands still until then. */
import { type Connection, call } from '../client.ts';
import { formatTable, formatTime } from '../format.ts';
import type { Output } from '../output.ts';

interface Incidents {
  readonly cases: readonly { id: string; kind: string; subject: string; openedAt: number }[];
  readonly halts: readonly { scope: string; reason: string; setAt: number }[];
}

export async function showCases(connection: Connection, output: Output): Promise<void> {
  const incidents = await call<Incidents>(connection, 'GET', '/v1/cases');
  const { cases, halts } = incidents;
  const caseRows = [
    ['case', 'kind', 'subject', 'since'],
    ...cases.map((each) => [each.id, each.kind, each.subject, formatTime(each.openedAt)]),
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
