import { randomUUID } from 'node:crypto';
import { ensureNamespace } from '../../infra/dev/temporal.ts';
import { askForServer } from './servers.ts';

/** The run's Temporal server with a namespace of its own for this test file. */
export async function temporalForThisFile(): Promise<{ address: string; namespace: string }> {
  const { address = '' } = await askForServer('temporal');
  const namespace = `t-${randomUUID()}`;
  await ensureNamespace(address, namespace);
  return { address, namespace };
}
