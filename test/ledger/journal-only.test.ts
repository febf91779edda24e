/** Modules move money through the templates of ledger/journal/ and in no other way. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import ts from 'typescript';
import { expect, test } from 'vitest';
import { transferCodes, transferKinds } from '#ledger/contract';

/** The ledger itself; what fills it with anything at all, to test or to measure; what prints templates as SQL. */
const mayMove = /^(ledger|test|bench|tools\/journal-page)\//;
const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  encoding: 'utf8',
})
  .split('\n')
  .filter((file) => /\.m?ts$/.test(file) && !file.endsWith('.d.ts') && existsSync(file));
const kinds = new Set<string>(transferKinds);
const codes = new Set<string>(transferCodes);

function textOf(literal: ts.ObjectLiteralExpression, name: string): string | undefined {
  for (const property of literal.properties) {
    if (property.name?.getText() !== name || !ts.isPropertyAssignment(property)) continue;
    // `'post' as const`, `('post')`
    let value: ts.Expression = property.initializer;
    while (ts.isAsExpression(value) || ts.isParenthesizedExpression(value)) value = value.expression;
    if (ts.isStringLiteralLike(value)) return value.text;
  }
  return undefined;
}

const has = (literal: ts.ObjectLiteralExpression, ...names: readonly string[]): boolean =>
  names.every((name) => literal.properties.some((property) => property.name?.getText() === name));
/** The form of a command, whatever stands for its kind: both sides of a move, or what is to end. */
const isShaped = (literal: ts.ObjectLiteralExpression): boolean =>
  has(literal, 'reference') && (has(literal, 'debit', 'credit') || has(literal, 'pendingId'));

/** Places where an object is made that says how or why value moves, or between whom. */
function movesIn(name: string, text: string): string[] {
  const source = ts.createSourceFile(name, text, ts.ScriptTarget.ESNext, true);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (
      ts.isObjectLiteralExpression(node) &&
      (kinds.has(textOf(node, 'kind') ?? '') || codes.has(textOf(node, 'code') ?? '') || isShaped(node))
    )
      found.push(`${name}:${source.getLineAndCharacterOfPosition(node.getStart()).line + 1}`);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

test('the templates themselves are found', () => {
  const templates = files.filter((file) => file.startsWith('ledger/journal/'));
  expect(templates.flatMap((file) => movesIn(file, readFileSync(file, 'utf8'))).length).toBeGreaterThan(15);
  expect(movesIn('x', "f({ id, kind: ('post' as const), debit })")).toHaveLength(1);
  expect(movesIn('x', "f({ code: 'float', ...leg })")).toHaveLength(1);
  // With words that are not written there.
  expect(movesIn('x', 'f({ id, kind, debit, credit, amount, code, reference })')).toHaveLength(1);
  expect(movesIn('x', 'f({ id, kind: how, pendingId: hold, code, reference: name })')).toHaveLength(1);
});

test('no module makes a transfer command itself, or calls what writes the ledger', () => {
  const others = files.filter((file) => !mayMove.test(file));
  expect(others.length).toBeGreaterThan(100);
  expect(others.flatMap((file) => movesIn(file, readFileSync(file, 'utf8')))).toEqual([]);
  const writers =
    /ledger\.(apply_batch|apply_batch_at|transfer_one)\b|(INSERT INTO|UPDATE|DELETE FROM|COPY|MERGE INTO|TRUNCATE) ledger\./i;
  for (const statement of [
    'SELECT ledger.transfer_one(',
    'insert into ledger.transfer',
    'UPDATE ledger.balance',
  ])
    expect(statement).toMatch(writers);
  expect(others.filter((file) => writers.test(readFileSync(file, 'utf8')))).toEqual([]);
});
