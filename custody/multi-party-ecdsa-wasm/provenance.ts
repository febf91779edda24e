/**
 * What the committed module was built from. `npm test` compares the sources with it, `npm run check:mpc` rebuilds and
 * compares the module, and the engine refuses a module with another hash.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';

export const crateFolder = fileURLToPath(new URL('.', import.meta.url));
export const moduleFileName = 'multi-party-ecdsa.wasm';
export const provenanceFileName = 'provenance.json';

const sha256Schema = z.string().regex(/^[0-9a-f]{64}$/);
const provenanceSchema = z.strictObject({
  moduleSha256: sha256Schema,
  /** SHA-256 over the lines `<hash>  <file>` of all sources, in order. */
  sourcesSha256: sha256Schema,
  sources: z.array(z.strictObject({ file: z.string(), sha256: sha256Schema })),
  /** `rustc -vV`, line by line. */
  compiler: z.array(z.string()),
  /** Debian packages with their versions. */
  packages: z.record(z.string(), z.string()),
});
export type Provenance = z.infer<typeof provenanceSchema>;

export function sha256Hex(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Everything that decides the module's bytes, besides the compiler: build.sh holds the flags. */
export function sourceHashes(folder: string = crateFolder): Provenance['sources'] {
  const rust = readdirSync(`${folder}/src`, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.rs'))
    .map((name) => `src/${name.replaceAll('\\', '/')}`);
  return ['Cargo.lock', 'Cargo.toml', 'build.sh', ...rust]
    .sort()
    .map((file) => ({ file, sha256: sha256Hex(readFileSync(`${folder}/${file}`)) }));
}

export function sourcesSha256(sources: Provenance['sources']): string {
  return sha256Hex(sources.map(({ file, sha256 }) => `${sha256}  ${file}\n`).join(''));
}

export function readProvenance(folder: string = crateFolder): Provenance {
  return provenanceSchema.parse(JSON.parse(readFileSync(`${folder}/${provenanceFileName}`, 'utf8')));
}
