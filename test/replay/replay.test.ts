import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import {
  bundleWorkflowCode,
  DefaultLogger,
  Runtime,
  Worker,
  type WorkflowBundleWithSourceMap,
} from '@temporalio/worker';
import { DeterminismViolationError } from '@temporalio/workflow';
import { beforeAll, describe, expect, it } from 'vitest';
import { definitionsPath } from '../../workflows/bundle.ts';

const folder = path.join(import.meta.dirname, 'histories');
const files = readdirSync(folder).filter((name) => name.endsWith('.json'));
const kinds = ['batch', 'batcher', 'chainWatcher', 'ledgerKeeper', 'sweep', 'sweeper', 'withdrawal'];

interface Recorded {
  readonly workflowId: string;
  readonly history: {
    readonly events: {
      eventType?: string;
      activityTaskScheduledEventAttributes?: { activityType?: { name?: string } };
    }[];
  };
}
const read = (name: string): Recorded =>
  JSON.parse(readFileSync(path.join(folder, name), 'utf8')) as Recorded;

describe('recorded histories', () => {
  let workflowBundle: WorkflowBundleWithSourceMap;
  beforeAll(async () => {
    Runtime.install({ logger: new DefaultLogger('ERROR') });
    workflowBundle = await bundleWorkflowCode({
      workflowsPath: definitionsPath,
      logger: new DefaultLogger('ERROR'),
    });
  });

  it('hold one of every kind of workflow', () => {
    for (const kind of kinds)
      expect(
        files.filter((name) => name.includes(`-${kind}-`)),
        kind,
      ).not.toEqual([]);
  });

  it.each(files)('%s replays on the definitions of now', async (name) => {
    const { workflowId, history } = read(name);
    await Worker.runReplayHistory({ workflowBundle }, history, workflowId);
  });

  it('of another program do not replay', async () => {
    const name = files.find((each) => each.includes('-withdrawal-')) ?? '';
    const { workflowId, history } = read(name);
    for (const event of history.events)
      if (event.activityTaskScheduledEventAttributes?.activityType?.name === 'decideWithdrawal')
        event.activityTaskScheduledEventAttributes.activityType.name = 'somethingElse';
    await expect(Worker.runReplayHistory({ workflowBundle }, history, workflowId)).rejects.toThrow(
      DeterminismViolationError,
    );
  });

  it('are replayed by a bundle that holds contracts and no facade', () => {
    // Whatever does I/O names a driver; none may be in the sandbox's code.
    for (const name of [
      'node_modules/pg/',
      'node_modules/ethers/',
      'workflows/operations/',
      'ledger/index.ts',
      'infra/db.ts',
    ])
      expect(workflowBundle.code.includes(name), name).toBe(false);
    expect(workflowBundle.code).toContain('workflows/definitions/batcher.ts');
  });
});
