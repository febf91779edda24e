import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { inliningOption } from '../../../matching/sequencer/index.ts';

/** V8 says nothing and goes on when it does not know an option: a newer node without it would only be slower. */
test('this node has the option that lets V8 inline whole commands', () => {
  expect(execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8' })).toContain(
    `--${inliningOption} `,
  );
});
