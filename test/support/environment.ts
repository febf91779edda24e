import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { afterAll, inject } from 'vitest';
import {
  bootEnvironment,
  type EnvironmentOptions,
  type RunningEnvironment,
} from '../../infra/dev/environment.ts';
import { openState, type StateFolder } from '../../infra/dev/state.ts';

/** A state folder that ends with the test run and shares binaries and templates with it. */
export function throwawayState(name: string = randomUUID()): StateFolder {
  const run = path.basename(path.dirname(inject('runFolder')));
  return openState(path.join(run, name));
}

/** The suite, or its servers only, for this test file alone; stopped at its end. */
export async function environmentForThisFile(options: EnvironmentOptions = {}): Promise<RunningEnvironment> {
  const environment = await bootEnvironment({ silent: true, state: throwawayState(), ...options });
  afterAll(async () => {
    await environment.stop();
  });
  return environment;
}
