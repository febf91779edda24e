/**
 * One schema per process; values come from a file (JSON or YAML) and from the environment, which wins.
 *
 * The key `databaseUrl` is read from `STRONGROOM_CONFIG_DATABASE_URL`, or, for secrets, from the file that
 * `STRONGROOM_CONFIG_DATABASE_URL_FILE` names. Unknown keys fail in both places: a misspelt limit must not be silently
 * the default. Messages name keys and never values.
 */
import { readFileSync } from 'node:fs';
import { parse as parseYaml } from 'yaml';
import type { z } from 'zod';
import { errorsOf, messageOf } from '#core/errors';
import { infraErrors } from './contract.ts';

const fail = errorsOf(infraErrors);
const environmentPrefix = 'STRONGROOM_CONFIG_';
const fileSuffix = '_FILE';

export interface ConfigSource {
  /** Path of a JSON or YAML file. */
  readonly file?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

type DeepReadonly<T> = T extends (infer E)[]
  ? readonly DeepReadonly<E>[]
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T;

function readText(file: string, purpose: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw fail(
      'INFRA_CONFIG_INVALID',
      `${purpose} ${file} cannot be read: ${messageOf(error)}`,
      { file },
      error,
    );
  }
}

function readFile(file: string): Record<string, unknown> {
  const text = readText(file, 'the configuration file');
  let content: unknown;
  try {
    content = file.endsWith('.json') ? JSON.parse(text) : parseYaml(text);
  } catch {
    // The parser's message is dropped: it may quote the text, which can hold a secret.
    throw fail('INFRA_CONFIG_INVALID', `${file} is not valid ${file.endsWith('.json') ? 'JSON' : 'YAML'}`, {
      file,
    });
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content))
    throw fail('INFRA_CONFIG_INVALID', `${file} does not hold an object`, { file });
  return { ...content };
}

/** `databaseUrl` -> `DATABASE_URL` */
function environmentName(key: string): string {
  return key.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase();
}

/** Text that is JSON (a number, boolean, list or object, or a quoted string) is read as such; all else is text. */
function environmentValue(text: string): unknown {
  if (!/^(true|false|-?\d{1,15}|[[{"].*)$/s.test(text)) return text;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

function readEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  keys: readonly string[],
): Record<string, unknown> {
  const keyOf = new Map(keys.map((key) => [environmentName(key), key]));
  const values: Record<string, unknown> = {};
  const unknown: string[] = [];
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith(environmentPrefix) || text === undefined) continue;
    const name = variable.slice(environmentPrefix.length);
    const direct = keyOf.get(name);
    const byFile = name.endsWith(fileSuffix) ? keyOf.get(name.slice(0, -fileSuffix.length)) : undefined;
    if (direct !== undefined) values[direct] = environmentValue(text);
    else if (byFile !== undefined) values[byFile] = readText(text, `the file of ${variable},`).trimEnd();
    else unknown.push(variable);
  }
  if (unknown.length > 0)
    throw fail('INFRA_CONFIG_INVALID', `unknown in the environment: ${unknown.join(', ')}`, { unknown });
  return values;
}

function deepFreeze<T>(value: T): DeepReadonly<T> {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const item of Object.values(value)) deepFreeze(item);
  }
  return value as DeepReadonly<T>;
}

/**
 * Reads, checks and freezes the configuration of a process.
 * @throws INFRA_CONFIG_INVALID listing every wrong key
 */
export function loadConfig<Shape extends z.ZodRawShape>(
  schema: z.ZodObject<Shape>,
  source: ConfigSource,
): DeepReadonly<z.output<z.ZodObject<Shape>>> {
  const values = {
    ...(source.file === undefined ? {} : readFile(source.file)),
    ...readEnvironment(source.env ?? {}, Object.keys(schema.shape)),
  };
  const result = schema.strict().safeParse(values);
  if (result.success) return deepFreeze(result.data) as DeepReadonly<z.output<z.ZodObject<Shape>>>;
  const problems = result.error.issues.map((issue) =>
    issue.code === 'unrecognized_keys'
      ? `${[...issue.path, ''].join('.')}{${issue.keys.join(', ')}}: unknown`
      : `${issue.path.join('.')}: ${issue.message}`,
  );
  const where = source.file === undefined ? 'the environment' : source.file;
  throw fail('INFRA_CONFIG_INVALID', `${where}: ${problems.join('; ')}`, { problems });
}
