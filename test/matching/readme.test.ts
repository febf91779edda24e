/** matching/README.md: its example runs, its limits and pointers are those of the code. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import vm from 'node:vm';
import { expect, test } from 'vitest';
import * as contract from '#matching/contract';
import { createEngine } from '../../matching/engine/index.ts';

const readme = readFileSync('matching/README.md', 'utf8');

test('the example does what it says, in ten lines', () => {
  const [, example = ''] = /```ts\n([\s\S]*?)```/.exec(readme) ?? [];
  const [, config = ''] = /```json\n([\s\S]*?)```/.exec(readme) ?? [];
  expect(example.trim().split('\n').length).toBeLessThanOrEqual(10);
  const logged: unknown[] = [];
  const scope = {
    ...contract,
    createEngine,
    config: JSON.parse(config) as unknown,
    log: (...values: unknown[]) => logged.push(...values),
  };
  vm.runInNewContext(example, scope);
  const [, told = ''] = /; \/\/ (.*)/.exec(example) ?? [];
  expect(logged).toEqual(['trade', 4n, 6]);
  expect(told).toBe('trade 4n 6');
});

test('the engine alone stands on core/errors.ts', () => {
  const own = ['commands.ts', 'config.ts', 'errors.ts', 'events.ts', 'vocabulary.ts'];
  const engine = readdirSync('matching/engine').map((file) => path.join('engine', file));
  const imported = [...own, ...engine].flatMap((file) => {
    const text = readFileSync(path.join('matching', file), 'utf8');
    return [...text.matchAll(/from '([^']+)'/g)]
      .map(([, name = '']) => name)
      .filter((name) => !name.startsWith('.'));
  });
  expect(new Set(imported)).toEqual(new Set(['#core/errors', 'zod']));
});

test('what it points to is there', () => {
  const pages = [...readme.matchAll(/\]\(([^)#]+)\)/g)].map(([, page = '']) => path.join('matching', page));
  const files = [...readme.matchAll(/`((?:matching|core|test)\/[\w./-]*)`/g)].map(([, file = '']) => file);
  expect(pages.length).toBeGreaterThan(2);
  expect([...pages, ...files].filter((file) => !existsSync(file))).toEqual([]);
});

test('every limit that it names is that of the code', () => {
  expect(contract.ladderTicksMax).toBe(2 ** 20);
  expect(contract.icebergSlicesMax).toBe(100);
  expect([contract.marketsMax, contract.assetsMax]).toEqual([1_024, 1_024]);
  const { ordersMax, accountsMax, clientIdsKept } = contract.engineConfigSchema.shape;
  for (const [field, max] of [
    [ordersMax, 2 ** 24],
    [clientIdsKept, 2 ** 23],
    [accountsMax, 2 ** 22],
  ] as const) {
    expect(field.safeParse(max).success).toBe(true);
    expect(field.safeParse(max + 1).success).toBe(false);
  }
});
