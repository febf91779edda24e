/** What the process stands on, as /health says it. */
import type { FastifyBaseLogger } from 'fastify';
import { within } from './within.ts';

/** A part that says nothing for so long is down: whoever watches the process does not wait for longer either. */
const probeMs = 3_000;

/** By the name of a part; one that throws is down. */
export type Probes = Readonly<Record<string, () => Promise<void>>>;

/** @returns looks at all parts, each once at a time: one that hangs holds one connection, however often it is asked for */
export function createHealth(
  probes: Probes,
  log: Pick<FastifyBaseLogger, 'warn'>,
): () => Promise<Record<string, string>> {
  const running = new Map<string, Promise<'ok'>>();

  async function look(probe: () => Promise<void>): Promise<'ok'> {
    await probe();
    return 'ok';
  }
  function lookOnce(part: string, probe: () => Promise<void>): Promise<'ok'> {
    const looking = running.get(part) ?? look(probe).finally(() => running.delete(part));
    running.set(part, looking);
    return looking;
  }
  /** The reason stays in the log: /health is open to anyone who reaches the port. */
  async function stateOf(part: string, probe: () => Promise<void>): Promise<string> {
    try {
      const state = await within(probeMs, lookOnce(part, probe));
      if (state === 'ok') return state;
      log.warn({ part, probeMs }, 'health.silent');
    } catch (error) {
      log.warn({ err: error, part }, 'health.down');
    }
    return 'down';
  }
  return async () =>
    Object.fromEntries(
      await Promise.all(
        Object.entries(probes).map(async ([part, probe]) => [part, await stateOf(part, probe)] as const),
      ),
    );
}
