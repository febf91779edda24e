/**
 * Records histories of real runs for the replay test: boots the suite, tells the first half of the demo (deposit, sweep,
 * automatic, approved and denied withdrawal) and writes one history per kind of workflow.
 *
 *   tsx test/replay/record.ts && biome check --write test/replay
 *
 * To be run for every release whose definitions changed; a history stays until no run of its version can be open any more.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { createApiClient } from '../../infra/dev/demo/api-client.ts';
import { createChainClient } from '../../infra/dev/demo/chain-client.ts';
import type { DemoContext } from '../../infra/dev/demo/context.ts';
import { tellDeposit, tellDkg, tellFloat, tellSweep } from '../../infra/dev/demo/deposit-steps.ts';
import { createStory } from '../../infra/dev/demo/story.ts';
import { tellApproved, tellAutomatic, tellDenied } from '../../infra/dev/demo/withdrawal-steps.ts';
import { bootEnvironment, type RunningEnvironment } from '../../infra/dev/environment.ts';
import { openState } from '../../infra/dev/state.ts';

const testFolder = path.dirname(fileURLToPath(import.meta.url));
/** Standing workflows are cut here, before a workflow task: enough turns to tell, small enough to read. */
const eventsMax = 160;
/** Withdrawals differ: automatic, approved, denied; chores of the ledger by the activity they call. Of the others one is like the next. */
const recordedMax: Readonly<Record<string, number>> = { withdrawal: 4, ledgerKeeper: 7 };

/** The identity names the machine a worker ran on; replay does not look at it. */
const withoutIdentity = (key: string, value: unknown): unknown => (key === 'identity' ? 'worker' : value);

interface RecordedEvent {
  readonly eventType?: string;
}
interface RecordedHistory {
  readonly events: readonly RecordedEvent[];
}

/** At most `eventsMax` events, cut so that the last workflow task stands with all its commands. */
function shortened(history: RecordedHistory): RecordedHistory {
  if (history.events.length <= eventsMax) return history;
  const cut = history.events.findLastIndex(
    (event, at) => at <= eventsMax && event.eventType === 'EVENT_TYPE_WORKFLOW_TASK_SCHEDULED',
  );
  return { ...history, events: history.events.slice(0, cut) };
}

async function tell(environment: RunningEnvironment): Promise<void> {
  const { files } = environment;
  if (files === undefined) throw new TypeError('recording needs the whole suite');
  const node = createChainClient(environment.anvilUrl);
  const context: DemoContext = {
    environment,
    files,
    api: createApiClient(environment.apiUrl, files),
    node,
    story: createStory((line) => {
      process.stdout.write(`${line}\n`);
    }),
    strangers: await node.call<string[]>('eth_accounts', []),
    found: { accountId: '', depositAddress: '', hotAddress: '', withdrawals: [] },
  };
  for (const step of [tellDkg, tellFloat, tellDeposit, tellSweep, tellAutomatic, tellApproved, tellDenied])
    await step(context);
}

async function record(environment: RunningEnvironment): Promise<void> {
  const folder = path.join(testFolder, 'histories');
  mkdirSync(folder, { recursive: true });
  const { version } = JSON.parse(readFileSync(path.join(testFolder, '..', '..', 'package.json'), 'utf8')) as {
    version: string;
  };
  const connection = await Connection.connect({ address: environment.temporalAddress });
  const client = new Client({ connection, namespace: environment.temporalNamespace });
  const taken = new Map<string, number[]>();
  for await (const { type, workflowId, runId } of client.workflow.list()) {
    const lengths = taken.get(type) ?? [];
    if (lengths.length >= (recordedMax[type] ?? 1)) continue;
    const fetched = await client.workflow.getHandle(workflowId, runId).fetchHistory();
    const history = shortened(JSON.parse(historyToJSON(fetched), withoutIdentity) as RecordedHistory);
    if (lengths.includes(history.events.length)) continue;
    taken.set(type, [...lengths, history.events.length]);
    const file = path.join(folder, `${version}-${type}-${lengths.length + 1}.json`);
    writeFileSync(file, `${JSON.stringify({ workflowId, history }, null, 1)}\n`);
    process.stdout.write(`${path.basename(file)}: ${history.events.length} events\n`);
  }
  await connection.close();
}

const environment = await bootEnvironment({ silent: true, state: openState('record'), fresh: true });
try {
  await tell(environment);
  await record(environment);
} finally {
  await environment.stop();
}
