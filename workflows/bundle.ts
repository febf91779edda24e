/**
 * The bundle of workflow definitions. Bundling takes seconds of CPU at every start of a worker, so it can be kept: a
 * bundle is named by everything it could be made of, and a wrong guess only means that it is made again.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode } from '@temporalio/worker';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
export const definitionsPath = path.join(root, 'workflows', 'definitions', 'index.ts');
/** Whatever a definition may import: the pure folders, and all of `workflows` rather than a guess at its part. */
const sourceFolders = ['core', 'policies', 'workflows', 'chains', 'ledger', 'custody'] as const;

function sourceFiles(folder: string): string[] {
  return readdirSync(path.join(root, folder), { recursive: true })
    .map((name) => path.join(folder, String(name)))
    .filter((name) => name.endsWith('.ts'))
    .sort();
}

/** SHA-256 over the lockfile (SDK and bundler) and every source a definition could reach. */
function bundleKey(): string {
  const hash = createHash('sha256').update(readFileSync(path.join(root, 'package-lock.json')));
  for (const file of sourceFolders.flatMap(sourceFiles))
    hash
      .update(file)
      .update('\0')
      .update(readFileSync(path.join(root, file)))
      .update('\0');
  return hash.digest('hex').slice(0, 32);
}

/** What `Worker.create` takes: a kept bundle, or one made now. Without a folder it is made now and not kept. */
export async function workflowBundle(cacheFolder: string | undefined): Promise<{ code: string }> {
  if (cacheFolder === undefined) return await bundleWorkflowCode({ workflowsPath: definitionsPath });
  const file = path.join(cacheFolder, `${bundleKey()}.js`);
  if (existsSync(file)) return { code: readFileSync(file, 'utf8') };
  const { code } = await bundleWorkflowCode({ workflowsPath: definitionsPath });
  mkdirSync(cacheFolder, { recursive: true });
  // Written aside and renamed: two workers may start at once, and half a bundle must never be read.
  const partial = `${file}.${process.pid}`;
  writeFileSync(partial, code);
  renameSync(partial, file);
  return { code };
}
