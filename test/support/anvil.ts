import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { afterAll, inject } from 'vitest';
import { type AnvilOptions, startAnvil as launchAnvil, type RunningAnvil } from '../../infra/dev/anvil.ts';
import { findFreePorts } from '../../infra/dev/ports.ts';
import { createSupervisor } from '../../infra/dev/processes.ts';

const supervisor = createSupervisor();

/** An anvil of its own for this test file, stopped at its end; one epoch is one block unless the test says otherwise. */
export async function startAnvil(
  options: Partial<Omit<AnvilOptions, 'port' | 'logFile' | 'folder'>> = {},
): Promise<RunningAnvil> {
  const folder = path.join(inject('runFolder'), `anvil-${randomUUID()}`);
  const anvil = await launchAnvil(supervisor, {
    slotsInAnEpoch: 1,
    ...options,
    port: await findFreePorts(),
    folder,
    logFile: path.join(folder, 'anvil.log'),
  });
  afterAll(async () => {
    await anvil.process.stop();
  });
  return anvil;
}
