/** Turns a schema's refusal into one sentence that names the field, what stood there and what was meant. */
import type { z } from 'zod';
import { errorsOf } from '#core/errors';
import { policyErrors } from './contract.ts';

const fail = errorsOf(policyErrors);

/** More than two edits from a known word is another word, not a slip. */
const slipMax = 2;
/** A message is read by a person; five defects at once are enough to correct. */
const issuesShownMax = 5;

/** Levenshtein distance (insert, delete, replace one letter each count 1). */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** ` (did you mean "hot"?)` or nothing, then the known values. */
export function knownValues(word: string, known: readonly string[]): string {
  const distances = known.map((value) => ({ value, distance: editDistance(word.slice(0, 64), value) }));
  const nearest = distances.sort((a, b) => a.distance - b.distance)[0];
  const hint =
    nearest !== undefined && nearest.distance <= slipMax ? `did you mean "${nearest.value}"? ` : '';
  return `${hint}known: ${known.length === 0 ? 'none' : known.join(', ')}`;
}

/** `rules[3].when.tier` */
function fieldPath(path: readonly PropertyKey[]): string {
  const text = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('');
  return text.startsWith('.') ? text.slice(1) : text === '' ? '(document)' : text;
}

type Issue = z.core.$ZodIssue;

/** The field names a strict object of the schema knows, found by what zod itself was given. */
export type FieldNames = (path: readonly PropertyKey[]) => readonly string[];

function sentence(issue: Issue, fieldNames: FieldNames): string {
  const field = fieldPath(issue.path);
  if (issue.code === 'unrecognized_keys') {
    const key = issue.keys[0] ?? '';
    return `${field}: unknown field "${key.slice(0, 64)}"; ${knownValues(key, fieldNames(issue.path))}`;
  }
  if (issue.code === 'invalid_union') {
    if (issue.discriminator !== undefined) return `${field}: must be one of allow, deny, require`;
    return `${field}: must be one value, a list of values, or {not: [...]}`;
  }
  if (
    issue.code === 'invalid_type' &&
    issue.expected === 'string' &&
    /units|\.(?:gte?|lte?|max)$/.test(field)
  )
    return `${field}: write an amount as quoted text of base units, as in "1000000000000000000"`;
  return `${field}: ${issue.message}`;
}

/**
 * Reads a value by its schema.
 * @throws POLICY_DOCUMENT_INVALID naming every defective field, at most five
 */
export function readDocument<S extends z.ZodType>(
  schema: S,
  value: unknown,
  what: string,
  fieldNames: FieldNames = () => [],
): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issues = result.error.issues;
  const shown = issues.slice(0, issuesShownMax).map((issue) => sentence(issue, fieldNames));
  const more = issues.length > shown.length ? `; and ${issues.length - shown.length} more` : '';
  const field = fieldPath(issues[0]?.path ?? []);
  throw fail('POLICY_DOCUMENT_INVALID', `${what}: ${shown.join('; ')}${more}`, { field });
}
