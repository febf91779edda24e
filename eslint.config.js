import tseslint from 'typescript-eslint';

// Type-aware rules only. Everything syntactic and all formatting is Biome's.
export default tseslint.config(
  {
    ignores: [
      'node_modules/**',
      'console/**',
      '**/*.js',
      '**/*.mjs',
      '**/*.cjs',
      'custody/multi-party-ecdsa-wasm/target/**',
    ],
  },
  {
    files: ['**/*.ts'],
    plugins: { '@typescript-eslint': tseslint.plugin },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    languageOptions: {
      parser: tseslint.parser,
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/return-await': ['error', 'always'],
      '@typescript-eslint/require-await': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: false, requireDefaultForNonUnion: true },
      ],
      '@typescript-eslint/restrict-plus-operands': [
        'error',
        {
          allowAny: false,
          allowBoolean: false,
          allowNullish: false,
          allowNumberAndString: false,
          allowRegExp: false,
        },
      ],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: false, allowNullish: false, allowAny: false },
      ],
      '@typescript-eslint/no-unsafe-argument': 'error',
      '@typescript-eslint/no-unsafe-assignment': 'error',
      '@typescript-eslint/no-unsafe-call': 'error',
      '@typescript-eslint/no-unsafe-member-access': 'error',
      '@typescript-eslint/no-unsafe-return': 'error',
      '@typescript-eslint/no-unnecessary-condition': 'error',
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/strict-boolean-expressions': ['error', { allowString: false, allowNumber: false }],
      'no-restricted-syntax': [
        'error',
        {
          selector: "CallExpression[callee.name='Number'], CallExpression[callee.name='parseFloat']",
          message: 'amounts are bigint; use Number.parseInt for a bounded count',
        },
      ],
    },
  },
  {
    // An async function without await is the shape some ports and fakes ask for.
    files: ['test/**/*.ts'],
    rules: { '@typescript-eslint/require-await': 'off' },
  },
  {
    files: ['core/**/*.ts', 'policies/**/*.ts', 'workflows/definitions/**/*.ts'],
    rules: { 'no-restricted-globals': ['error', 'Date', 'setTimeout', 'setInterval', 'process', 'fetch'] },
  },
);
