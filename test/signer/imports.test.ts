/** What a co-signer's process loads, over the whole import graph from its entry point: short, and without a chain SDK. */
import { existsSync } from 'node:fs';
import { cruise, type ICruiseResult } from 'dependency-cruiser';
import extractTsConfig from 'dependency-cruiser/config-utl/extract-ts-config';
import { beforeAll, describe, expect, it } from 'vitest';

const entry = 'custody/signer/main.ts';
/** Started by path in worker threads, so no import leads to it. */
const threadEntry = 'custody/multi-party-ecdsa-wasm/session-thread.ts';
const allowedPackages = new Set([
  '@noble/curves',
  '@noble/hashes',
  '@scure/base',
  '@scure/bip32',
  'canonicalize',
  'lmdb',
  'pino',
  'zod',
]);
/** Own folders and files a co-signer consists of. */
const allowedFiles =
  /^(?:core\/[^/]+|custody\/signer\/.+|custody\/multi-party-ecdsa-wasm\/[^/]+|custody\/protocol|policies\/[^/]+|infra\/(?:log|contract|failpoint))\.(?:ts|cjs)$/;

const packageOf = (resolved: string): string | undefined =>
  /^(?:.*\/)?node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(resolved)?.[1];

interface Graph {
  readonly files: ReadonlySet<string>;
  readonly packages: ReadonlySet<string>;
}

/** Walks from `start` over what the cruise resolved; type-only imports are erased before anything runs. */
function reachable(result: ICruiseResult, start: string): Graph {
  const modules = new Map(result.modules.map((module) => [module.source, module]));
  const files = new Set<string>();
  const packages = new Set<string>();
  const open = [start];
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (files.has(file)) continue;
    files.add(file);
    for (const dependency of modules.get(file)?.dependencies ?? []) {
      if (dependency.typeOnly === true || dependency.dependencyTypes.includes('type-only')) continue;
      if (dependency.coreModule) continue;
      const name = packageOf(dependency.resolved);
      if (name !== undefined) packages.add(name);
      else if (dependency.couldNotResolve) packages.add(dependency.module);
      else open.push(dependency.resolved);
    }
  }
  return { files, packages };
}

async function graphFrom(start: string): Promise<Graph> {
  const { output } = await cruise(
    [start],
    {
      doNotFollow: { path: 'node_modules' },
      tsPreCompilationDeps: 'specify',
      enhancedResolveOptions: {
        exportsFields: ['exports'],
        conditionNames: ['import', 'node', 'default', 'types'],
        extensions: ['.ts', '.js', '.mjs', '.cjs', '.json'],
      },
    },
    undefined,
    { tsConfig: extractTsConfig('tsconfig.json') },
  );
  if (typeof output === 'string') throw new Error('dependency-cruiser gave text instead of a graph');
  return reachable(output, start);
}

describe('the co-signer process', () => {
  let graph: Graph;
  beforeAll(async () => {
    const [main, thread] = [await graphFrom(entry), await graphFrom(threadEntry)];
    graph = {
      files: new Set([...main.files, ...thread.files]),
      packages: new Set([...main.packages, ...thread.packages]),
    };
  });

  it('was seen at all, with all its parts', () => {
    expect(graph.files.size).toBeGreaterThan(40);
    for (const part of [
      entry,
      'custody/multi-party-ecdsa-wasm/instance.ts',
      'custody/signer/gatekeeper.ts',
      'custody/signer/checks/conflict.ts',
      'custody/signer/decode/rlp.ts',
      'custody/protocol.ts',
      'policies/evaluate.ts',
      'core/canonical-json.ts',
    ])
      expect(graph.files).toContain(part);
    for (const file of graph.files) expect(existsSync(file)).toBe(true);
  });

  it('loads these packages and no others', () => {
    expect([...graph.packages].filter((name) => !allowedPackages.has(name))).toEqual([]);
    expect([...graph.packages]).toEqual(
      expect.arrayContaining(['@noble/curves', '@scure/bip32', 'lmdb', 'zod']),
    );
  });

  it('loads no file of another module', () => {
    expect([...graph.files].filter((file) => !allowedFiles.test(file))).toEqual([]);
  });

  it('would be caught loading a chain SDK', async () => {
    const adapters = await graphFrom('chains/index.ts');
    expect([...adapters.packages]).toContain('ethers');
  });
});
