/** How the suite's own TypeScript entry points are run as child processes. */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ProcessSpec } from './processes.ts';
import { checkoutRoot } from './state.ts';

/** What a child may see of our environment; its settings come from its configuration file. */
const inheritedVariables = ['PATH', 'HOME', 'TMPDIR', 'TZ', 'LANG', 'NODE_ENV', 'NODE_EXTRA_CA_CERTS'];
const exitWithParent = fileURLToPath(new URL('exit-with-parent.ts', import.meta.url));

export interface NodeProcess {
  readonly name: string;
  /** Relative to the repository. */
  readonly entry: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly logFile: string;
  readonly ready: () => Promise<boolean>;
  readonly readyTimeoutMs: number;
}

export function nodeProcess(options: NodeProcess): ProcessSpec {
  const inherited = inheritedVariables.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return {
    name: options.name,
    command: process.execPath,
    // tsx as a loader, not as a command: the command would put a second process in between that signals must cross.
    args: [
      '--enable-source-maps',
      '--import',
      import.meta.resolve('tsx'),
      '--import',
      exitWithParent,
      path.join(checkoutRoot, options.entry),
      ...options.args,
    ],
    env: { ...Object.fromEntries(inherited), ...options.env },
    cwd: checkoutRoot,
    logFile: options.logFile,
    stopSignal: 'SIGTERM',
    ready: options.ready,
    readyTimeoutMs: options.readyTimeoutMs,
    watchesParent: true,
  };
}
