/** The verifier runs where the customer is: no module of node, no global that a browser lacks, nothing of the server. */
import { readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import vm from 'node:vm';
import ts from 'typescript';
import { expect, test } from 'vitest';
import { customer, ledgerKey, makeSnapshot } from './made-snapshot.ts';

const root = path.resolve(import.meta.dirname, '../../..');
const entry = path.join(root, 'ledger/liabilities/verify.ts');

interface LoadedModule {
  readonly file: string;
  readonly imports: ReadonlyMap<string, string>;
  /** CommonJS, so that a bare context can run it. */
  readonly code: string;
}

function resolveFrom(file: string, specifier: string): string {
  if (isBuiltin(specifier))
    throw new Error(`${path.relative(root, file)} imports ${specifier}, which no browser has`);
  if (specifier.startsWith('.')) return path.resolve(path.dirname(file), specifier);
  if (specifier.startsWith('#core/'))
    return path.join(root, 'core', `${specifier.slice('#core/'.length)}.ts`);
  return fileURLToPath(import.meta.resolve(specifier, pathToFileURL(file).href));
}

function load(file: string, all = new Map<string, LoadedModule>()): Map<string, LoadedModule> {
  if (all.has(file)) return all;
  const code = ts.transpileModule(readFileSync(file, 'utf8'), {
    compilerOptions: {
      module: ts.ModuleKind.CommonJS,
      target: ts.ScriptTarget.ES2022,
      verbatimModuleSyntax: false,
    },
  }).outputText;
  const wanted = [...code.matchAll(/require\("([^"]+)"\)/g)].map((match) => match[1] ?? '');
  const imports = new Map(wanted.map((specifier) => [specifier, resolveFrom(file, specifier)]));
  all.set(file, { file, imports, code });
  for (const next of imports.values()) load(next, all);
  return all;
}

/** Runs the modules in a context that has what ECMAScript gives, and of the browser only what is handed in. */
function run(
  modules: ReadonlyMap<string, LoadedModule>,
  globals: Record<string, unknown>,
): Record<string, unknown> {
  const context = vm.createContext({ ...globals });
  const loaded = new Map<string, Record<string, unknown>>();
  const requireFile = (file: string): Record<string, unknown> => {
    const known = loaded.get(file);
    if (known !== undefined) return known;
    const loadedModule = modules.get(file);
    if (loadedModule === undefined) throw new Error(`${file} was not collected`);
    const exported: Record<string, unknown> = {};
    loaded.set(file, exported);
    const body = vm.runInContext(`(function (exports, require) {${loadedModule.code}\n})`, context, {
      filename: file,
    }) as (exports: unknown, require: (specifier: string) => unknown) => void;
    body(exported, (specifier) => requireFile(loadedModule.imports.get(specifier) ?? ''));
    return exported;
  };
  return requireFile(entry);
}

test('the verifier imports noble, canonical JSON and its own files, no more', () => {
  const files = [...load(entry).keys()];
  const packages = files.flatMap((file) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? []);
  expect([...new Set(packages)].sort()).toEqual(['@noble/curves', '@noble/hashes', 'canonicalize']);
  const own = files
    .filter((file) => !file.includes('/node_modules/'))
    .map((file) => path.relative(root, file));
  expect(own.sort()).toEqual([
    'core/canonical-json.ts',
    'core/errors.ts',
    'ledger/liabilities/encoding.ts',
    'ledger/liabilities/fields.ts',
    'ledger/liabilities/statement.ts',
    'ledger/liabilities/verify.ts',
  ]);
});

test('it judges a proof without node, and refuses a changed one', () => {
  const account = customer('browser');
  const asset = 'eip155:1/slip44:60';
  const proof = makeSnapshot({
    [asset]: new Map([
      [account, 12n],
      [customer('other'), 30n],
      [customer('third'), 1n],
    ]),
  }).proof(account, asset);
  const globals = { TextEncoder, TextDecoder, atob, btoa };
  const verifier = run(load(entry), globals) as {
    verifyInclusion: (proof: unknown, expected: unknown) => unknown;
  };
  const expected = { publicKey: ledgerKey.publicKey, account, asset, balance: '12' };
  expect(verifier.verifyInclusion(proof, expected)).toMatchObject({ ok: true, total: '43' });
  expect(verifier.verifyInclusion({ ...proof, balance: '13' }, { ...expected, balance: '13' })).toMatchObject(
    { ok: false, reason: 'wrong-total' },
  );
});
