/**
 * Free ports on the loopback address. All lie below 32768: from there on Linux hands ports to outgoing connections, and
 * one of those could take a server's port between two runs.
 */
import { randomInt } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { z } from 'zod';
import { errorsOf } from '#core/errors';
import { infraErrors } from '../contract.ts';

const fail = errorsOf(infraErrors);
const portMin = 20_000;
const portMax = 32_767;
/** Runs tried before giving up; a machine with this many taken in a row is full. */
const attemptsMax = 200;

/** Given out in this process but not yet listened on. */
const promised = new Set<number>();

export async function isPortFree(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => {
      resolve(false);
    });
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
      server.close(() => {
        resolve(true);
      });
    });
  });
}

/** Whether a server listens. Asked of a process that is starting: trying to bind could take the port from it. */
export async function isListening(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('error', () => {
      resolve(false);
    });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}

async function isRunFree(first: number, count: number): Promise<boolean> {
  for (let port = first; port < first + count; port++) if (!(await isPortFree(port))) return false;
  return true;
}

function isRunPromised(first: number, count: number): boolean {
  for (let port = first; port < first + count; port++) if (promised.has(port)) return true;
  return false;
}

/** The first of `count` adjacent free ports. @throws INFRA_NO_PORT_FREE */
export async function findFreePorts(count = 1): Promise<number> {
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    // Random, so that two environments starting at once rarely try the same ones.
    const first = randomInt(portMin, portMax + 2 - count);
    if (isRunPromised(first, count)) continue;
    const run = Array.from({ length: count }, (_, at) => first + at);
    // Before asking the system, so that two searches at once cannot both be promised the run.
    for (const port of run) promised.add(port);
    if (await isRunFree(first, count)) return first;
    for (const port of run) promised.delete(port);
  }
  throw fail('INFRA_NO_PORT_FREE', `no ${count} adjacent ports are free in ${portMin}-${portMax}`, { count });
}

/** Name of a server -> how many adjacent ports it takes. */
export type PortNeeds = Readonly<Record<string, number>>;
export type PortPlan<Needs extends PortNeeds> = { readonly [Name in keyof Needs]: number };

const savedPorts = z.record(z.string(), z.int().min(1).max(65_535));

function readSaved(file: string): Record<string, number> {
  if (!existsSync(file)) return {};
  const parsed = savedPorts.safeParse(JSON.parse(readFileSync(file, 'utf8')));
  return parsed.success ? parsed.data : {};
}

/**
 * A first port for each name: the one asked for, else the one of the last run if it is still free, else a free one. The
 * choice is kept in `file`, so that a restart has the same addresses.
 * @throws INFRA_PORT_TAKEN if one that was asked for is taken, INFRA_NO_PORT_FREE
 */
export async function planPorts<Needs extends PortNeeds>(
  needs: Needs,
  options: { readonly file: string; readonly wanted?: Readonly<Record<string, number | undefined>> },
): Promise<PortPlan<Needs>> {
  const saved = readSaved(options.file);
  const plan: Record<string, number> = {};
  for (const [name, count] of Object.entries(needs)) {
    const wanted = options.wanted?.[name];
    if (wanted !== undefined && !(await isRunFree(wanted, count)))
      throw fail('INFRA_PORT_TAKEN', `port ${wanted}, asked for by ${name}, is taken`, {
        name,
        port: wanted,
      });
    const last = saved[name];
    if (wanted !== undefined) plan[name] = wanted;
    else if (last !== undefined && (await isRunFree(last, count))) plan[name] = last;
    else plan[name] = await findFreePorts(count);
  }
  writeFileSync(options.file, `${JSON.stringify(plan, null, 2)}\n`);
  return plan as PortPlan<Needs>;
}
