/** The compiler and packages of this machine, as the provenance records them. Used by the build scripts only. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** Debian's; rustup's toolchains cannot build this target. */
const rustc = '/usr/bin/rustc';
const packageNames = ['rustc-web', 'cargo-web', 'rust-web-src', 'lld-22', 'wasi-libc'];

/** Lines of `rustc -vV`, or undefined when it is not installed. */
export function installedCompiler(): string[] | undefined {
  if (!existsSync(rustc)) return undefined;
  return execFileSync(rustc, ['-vV'], { encoding: 'utf8' }).trim().split('\n');
}

/** Version by package; a missing package is left out. */
export function installedPackages(): Record<string, string> {
  const versions: Record<string, string> = {};
  for (const name of packageNames) {
    try {
      const format = '$' + '{db:Status-Status} $' + '{Version}';
      const output = execFileSync('dpkg-query', ['--show', `--showformat=${format}`, name], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      const [status, version] = output.split(' ');
      if (status === 'installed' && version !== undefined) versions[name] = version;
    } catch {
      // dpkg-query is missing or does not know the package: both mean that it is not installed.
    }
  }
  return versions;
}

export function packagesMissing(): string[] {
  const installed = installedPackages();
  return packageNames.filter((name) => installed[name] === undefined);
}
