// Cruises every source file of the tree with the import table. A file that was not seen is a failure, not a pass: with an
// unsupported compiler dependency-cruiser reports "no violations" over 0 modules.
import { readdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cruise } from 'dependency-cruiser';
import extractTSConfig from 'dependency-cruiser/config-utl/extract-ts-config';

const config = createRequire(import.meta.url)('../.dependency-cruiser.cjs');
const ignored = new Set(['node_modules', 'docs', 'tools', 'console']);
// The roots come from the tree, so that a new folder cannot escape the check.
const roots = readdirSync('.').filter(
  (name) => !name.startsWith('.') && !ignored.has(name) && statSync(name).isDirectory(),
);
const onDisk = roots.flatMap((root) =>
  readdirSync(root, { recursive: true })
    .map((file) => `${root}/${file}`)
    .filter((file) => file.endsWith('.ts') && !file.includes('/node_modules/') && !file.includes('/target')),
);
const rootsWithSources = roots.filter((root) => onDisk.some((file) => file.startsWith(`${root}/`)));

const { output } = await cruise(
  rootsWithSources,
  { ...config.options, validate: true, ruleSet: { forbidden: config.forbidden } },
  undefined,
  { tsConfig: extractTSConfig(config.options.tsConfig.fileName) },
);
const seen = new Set(output.modules.map((module) => module.source));
const missed = onDisk.filter((file) => !seen.has(file));
const violations = output.summary.violations.filter((violation) => violation.rule.severity === 'error');

for (const violation of violations) {
  const cycle = violation.cycle ? ` (${violation.cycle.map((step) => step.name).join(' -> ')})` : '';
  console.error(`${violation.rule.name}: ${violation.from} -> ${violation.to}${cycle}`);
}
for (const file of missed) console.error(`not cruised: ${file}`);
console.log(
  `boundaries: ${onDisk.length - missed.length} of ${onDisk.length} files cruised, ${violations.length} violations`,
);
process.exitCode = onDisk.length === 0 || missed.length + violations.length > 0 ? 1 : 0;
