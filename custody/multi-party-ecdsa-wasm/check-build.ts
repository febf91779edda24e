/**
 * `npm run check:mpc`: rebuilds the module in an empty folder and compares it with the committed one.
 * Exit code 0: equal. 1: different, or the build failed. 2: the compiler is missing or not the provenance's, or the
 * module differs and so does another package of the toolchain.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crateFolder, moduleFileName, readProvenance, sha256Hex } from './provenance.ts';
import { installedCompiler, installedPackages, packagesMissing } from './toolchain.ts';

const exitEqual = 0;
const exitDifferent = 1;
const exitOtherToolchain = 2;

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function checkBuild(): number {
  const provenance = readProvenance();
  const committed = sha256Hex(readFileSync(join(crateFolder, moduleFileName)));
  if (committed !== provenance.moduleSha256) {
    say(`the committed module is ${committed}, its provenance names ${provenance.moduleSha256}`);
    return exitDifferent;
  }
  const missing = packagesMissing();
  const compiler = installedCompiler();
  if (compiler === undefined || missing.length > 0) {
    say(`the compiler is not installed; Debian 12 packages missing: ${missing.join(' ')}`);
    say(`install them: sudo apt-get install --no-install-recommends ${missing.join(' ')}`);
    return exitOtherToolchain;
  }
  if (compiler.join('\n') !== provenance.compiler.join('\n')) {
    say('the installed compiler is not the one of the provenance, so a rebuild is expected to differ');
    say(`installed:  ${compiler.join('; ')}`);
    say(`provenance: ${provenance.compiler.join('; ')}`);
    return exitOtherToolchain;
  }
  const status = rebuildAndCompare(committed);
  const changed = Object.entries(installedPackages()).filter(([name, version]) => {
    return provenance.packages[name] !== version;
  });
  if (status === exitEqual || changed.length === 0) return status;
  for (const [name, version] of changed) {
    say(
      `${name} is ${version}, the provenance has ${provenance.packages[name] ?? 'none'}: a difference is expected`,
    );
  }
  return exitOtherToolchain;
}

function rebuildAndCompare(committed: string): number {
  const folder = mkdtempSync(join(tmpdir(), 'strongroom-check-mpc-'));
  try {
    const build = spawnSync(
      'sh',
      [join(crateFolder, 'build.sh'), join(folder, 'out'), join(folder, 'target')],
      {
        stdio: 'inherit',
      },
    );
    if (build.status !== 0) {
      say(`the build failed with status ${build.status ?? 'none'}`);
      return exitDifferent;
    }
    const rebuilt = sha256Hex(readFileSync(join(folder, 'out', moduleFileName)));
    say(`committed ${committed}\nrebuilt   ${rebuilt}`);
    say(rebuilt === committed ? 'equal' : 'DIFFERENT');
    return rebuilt === committed ? exitEqual : exitDifferent;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

process.exitCode = checkBuild();
