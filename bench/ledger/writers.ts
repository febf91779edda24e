/** The second table: several processes, each with its own group-committing writer, on the same accounts. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { type BenchRow, benchRow } from '../report.ts';
import type { Samples } from './database.ts';
import { waitingCallers } from './subjects.ts';

const processCounts = [1, 2, 4, 8] as const;
const script = fileURLToPath(new URL('./writer-process.ts', import.meta.url));
const samplesSchema = z.object({
  operations: z.number(),
  elapsedMs: z.number(),
  latenciesMs: z.array(z.number()),
});

/** The next message, or an error if the process ends without one. */
async function messageOf(child: ChildProcess): Promise<unknown> {
  return await new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.once('exit', (code) => {
      reject(new Error(`a writer process ended with exit code ${String(code)}`));
    });
  });
}

async function runProcesses(count: number, url: string, accounts: number, forMs: number): Promise<Samples> {
  const callers = Math.ceil(waitingCallers / count);
  const children = Array.from({ length: count }, () =>
    fork(script, [url, String(accounts), String(callers), String(forMs)], { execArgv: ['--import', 'tsx'] }),
  );
  await Promise.all(children.map(messageOf));
  const measured = children.map(messageOf);
  for (const child of children) child.send('go');
  const samples = (await Promise.all(measured)).map((message) => samplesSchema.parse(message));
  return {
    operations: samples.reduce((sum, { operations }) => sum + operations, 0),
    elapsedMs: Math.max(...samples.map(({ elapsedMs }) => elapsedMs)),
    latenciesMs: samples.flatMap(({ latenciesMs }) => latenciesMs),
  };
}

export async function writerRows(url: string, accounts: number, forMs: number): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  for (const count of processCounts)
    rows.push(
      benchRow(
        'strongroom',
        `random, adaptive, ${count} writer ${count === 1 ? 'process' : 'processes'}, ${waitingCallers} callers in all`,
        await runProcesses(count, url, accounts, forMs),
      ),
    );
  return rows;
}
