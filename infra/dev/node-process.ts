/** How the suite's own TypeScript entry points are run as child processes. */
import path from 'node:path';
import type { ProcessSpec } from './processes.ts';
import { checkoutRoot } from './state.ts';

/** What a child may see of our environment; its settings come from its configuration file. */
const inheritedVariables = ['PATH', 'HOME', 'TMPDIR', 'TZ', 'LANG', 'NODE_ENV', 'NODE_EXTRA_CA_CERTS'];

export interface NodeProcess {
  readonly name: string;
  /** Relative to the repository. */
  readonly entry: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly logFile: string;
  readonly ready: () => Promise<boolean>;
  /** As {@link ProcessSpec.up}. */
  readonly up?: () => Promise<boolean>;
  readonly readyTimeoutMs: number;
}

export function nodeEnvironment(): Record<string, string> {
  return Object.fromEntries(
    inheritedVariables.flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value] as const];
    }),
  );
}

/** Arguments for node itself. tsx as a loader: its command would put a second process between us and our signals. */
export function nodeArguments(entry: string, args: readonly string[]): string[] {
  return [
    '--enable-source-maps',
    '--import',
    import.meta.resolve('tsx'),
    path.join(checkoutRoot, entry),
    ...args,
  ];
}

export function nodeProcess(options: NodeProcess): ProcessSpec {
  return {
    name: options.name,
    command: process.execPath,
    args: nodeArguments('infra/dev/run-child.ts', [path.join(checkoutRoot, options.entry), ...options.args]),
    env: { ...nodeEnvironment(), ...options.env },
    cwd: checkoutRoot,
    logFile: options.logFile,
    stopSignal: 'SIGTERM',
    ready: options.ready,
    ...(options.up === undefined ? {} : { up: options.up }),
    readyTimeoutMs: options.readyTimeoutMs,
    watchesParent: true,
  };
}
