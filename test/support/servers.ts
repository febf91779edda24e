/** Asks the test run for a server (`global-setup.ts`), which starts it at the first call. */
import { inject } from 'vitest';

/** A cold build of the Temporal server is the slowest thing that can happen here. */
const startTimeoutMs = 15 * 60_000;

/** The answer of the run; throws what went wrong, so that a missing server fails the file that needs it. */
export async function askForServer(
  name: 'cluster' | 'template' | 'temporal',
): Promise<Readonly<Record<string, string>>> {
  const response = await fetch(`${inject('serversUrl')}/${name}`, {
    signal: AbortSignal.timeout(startTimeoutMs),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  return JSON.parse(text) as Record<string, string>;
}
