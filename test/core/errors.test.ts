import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  coreErrors,
  type ErrorCatalogue,
  errorKinds,
  errorsOf,
  invariant,
  isStrongroomError,
  messageOf,
  StrongroomError,
} from '#core/errors';

const root = new URL('../../', import.meta.url);
/** Every contract of the tree, so that a new module cannot be forgotten. */
const contracts = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter(
  (path) => /(?:^|\/)(?:contract|protocol)\.ts$/.test(path) && !/node_modules|^test\//.test(path),
);

const isCatalogue = (value: unknown): value is ErrorCatalogue =>
  typeof value === 'object' &&
  value !== null &&
  Object.values(value).every(
    (row: unknown) => typeof row === 'object' && row !== null && 'whatToDo' in row && 'why' in row,
  ) &&
  Object.keys(value).length > 0;

async function catalogues(): Promise<[string, ErrorCatalogue][]> {
  const found: [string, ErrorCatalogue][] = [['core/errors.ts', coreErrors]];
  for (const path of contracts) {
    const module = (await import(new URL(path, root).href)) as Record<string, unknown>;
    // A contract may hand on another's catalogue; that is the same object, not a second one.
    for (const value of Object.values(module))
      if (isCatalogue(value) && !found.some(([, known]) => known === value)) found.push([path, value]);
  }
  return found;
}

describe('catalogues', () => {
  test('every row is a sentence for why and one for what to do, of a known kind', async () => {
    const found = await catalogues();
    expect(found.length).toBeGreaterThan(4);
    for (const [path, catalogue] of found) {
      for (const [code, row] of Object.entries(catalogue)) {
        expect(code, path).toMatch(/^[A-Z]+(?:_[A-Z0-9]+)+$/);
        expect(errorKinds, `${path} ${code}`).toContain(row.kind);
        expect(row.why, `${path} ${code}`).toMatch(/^[A-Z].{15,}\.$/s);
        expect(row.whatToDo, `${path} ${code}`).toMatch(/^[A-Z].{10,}\.$/s);
      }
    }
  });

  test('a code stands in one catalogue only', async () => {
    const found = await catalogues();
    const codes = found.flatMap(([, catalogue]) => Object.keys(catalogue));
    expect(codes.filter((code, at) => codes.indexOf(code) !== at)).toEqual([]);
  });
});

describe('errors', () => {
  const fail = errorsOf({
    TEST_BUSY: { kind: 'unavailable', why: 'It is busy.', whatToDo: 'Wait.', retryable: true },
    TEST_WRONG: { kind: 'invalid', why: 'It is wrong.', whatToDo: 'Correct it.' },
  });
  test('carry code, kind, details, cause and whether a retry may help', () => {
    const cause = new Error('socket closed');
    const error = fail('TEST_BUSY', 'node 3 is busy', { node: 3 }, cause);
    expect(error).toBeInstanceOf(StrongroomError);
    expect({ ...error, message: error.message, cause: error.cause }).toMatchObject({
      code: 'TEST_BUSY',
      kind: 'unavailable',
      details: { node: 3 },
      retryable: true,
      message: 'node 3 is busy',
      cause,
    });
    expect(fail('TEST_WRONG', 'x')).toMatchObject({ retryable: false, details: {} });
    expect('cause' in fail('TEST_WRONG', 'x')).toBe(false);
  });
  test('a code outside the catalogue is a defect of ours', () => {
    expect(() => fail('TEST_OTHER' as 'TEST_BUSY', 'x')).toThrow(TypeError);
  });
  test('an invariant throws only when it does not hold', () => {
    expect(() => {
      invariant(true, 'x');
    }).not.toThrow();
    expect(() => {
      invariant(false, 'sum is 1', { asset: 'x' });
    }).toThrow(
      expect.objectContaining({ code: 'CORE_INVARIANT', kind: 'invariant', details: { asset: 'x' } }),
    );
  });
  test('are recognised also from another copy of the module', () => {
    const foreign = Object.assign(new Error('x'), { name: 'StrongroomError', code: 'A_B', kind: 'invalid' });
    expect(isStrongroomError(foreign)).toBe(true);
    expect(isStrongroomError(fail('TEST_WRONG', 'x'))).toBe(true);
    for (const other of [new Error('x'), { name: 'StrongroomError', code: 'A', kind: 'invalid' }, null, 'x'])
      expect(isStrongroomError(other)).toBe(false);
  });
  test('the message of anything thrown', () => {
    expect([messageOf(new Error('a')), messageOf('b'), messageOf(undefined)]).toEqual([
      'a',
      'b',
      'undefined',
    ]);
  });
});
