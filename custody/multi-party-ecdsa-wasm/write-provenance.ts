/** Last step of build.sh: `node --import tsx write-provenance.ts FOLDER` describes the module in FOLDER. */
import { readFileSync, writeFileSync } from 'node:fs';
import {
  moduleFileName,
  type Provenance,
  provenanceFileName,
  sha256Hex,
  sourceHashes,
  sourcesSha256,
} from './provenance.ts';
import { installedCompiler, installedPackages } from './toolchain.ts';

const folder = process.argv[2];
if (folder === undefined) throw new Error('usage: write-provenance.ts FOLDER');
const sources = sourceHashes();
const provenance: Provenance = {
  moduleSha256: sha256Hex(readFileSync(`${folder}/${moduleFileName}`)),
  sourcesSha256: sourcesSha256(sources),
  sources,
  compiler: installedCompiler() ?? [],
  packages: installedPackages(),
};
writeFileSync(`${folder}/${provenanceFileName}`, `${JSON.stringify(provenance, null, 2)}\n`);
process.stdout.write(`${moduleFileName} ${provenance.moduleSha256}\n`);
