// The import table of ARCHITECTURE.md as rules. tools/check-boundaries.mjs runs them and fails when a file was not seen.
const modules = '(infra|ledger|matching|policies|chains|custody|workflows|api|cli|simulators|console)';
const contractFile = '/(contract|protocol)\\.ts$';
const builtin = ['core'];
const chainSdks = '^node_modules/(ethers|bitcoinjs-lib|tronweb|@solana/|@scure/btc-signer)';

/** @type {import('dependency-cruiser').IForbiddenRuleType[]} */
const forbidden = [
  { name: 'no-cycle', severity: 'error', from: {}, to: { circular: true } },
  { name: 'not-resolved', severity: 'error', from: {}, to: { couldNotResolve: true } },
  {
    name: 'core-is-alone',
    comment: 'core is pure and imports no other folder',
    severity: 'error',
    from: { path: '^core/' },
    to: { path: `^${modules}/` },
  },
  {
    name: 'pure-folders-use-no-node-built-ins',
    comment: 'time, randomness and I/O come in as arguments',
    severity: 'error',
    from: { path: '^(core|policies|workflows/definitions)/' },
    to: { dependencyTypes: builtin },
  },
  {
    name: 'infra-knows-no-module',
    severity: 'error',
    from: { path: '^infra/', pathNot: '^infra/dev/' },
    to: { path: '^(ledger|matching|policies|chains|custody|workflows|api|cli|simulators)/' },
  },
  {
    name: 'policies-import-core-and-chain-contract',
    severity: 'error',
    from: { path: '^policies/' },
    to: { path: `^${modules}/`, pathNot: ['^policies/', '^chains/contract\\.ts$'] },
  },
  {
    name: 'ledger-imports-core-infra-contracts',
    comment: 'the ledger knows no chain',
    severity: 'error',
    from: { path: '^ledger/' },
    to: { path: '^(matching|policies|chains|custody|workflows|api|cli|simulators)/', pathNot: contractFile },
  },
  {
    name: 'ledger-knows-no-chain',
    severity: 'error',
    from: { path: '^ledger/' },
    to: { path: '^chains/' },
  },
  {
    name: 'matching-engine-is-pure',
    comment: 'time, randomness and I/O come in as commands',
    severity: 'error',
    from: { path: '^matching/(engine|reference)/' },
    to: { dependencyTypes: builtin },
  },
  {
    name: 'matching-engine-imports-core',
    severity: 'error',
    from: { path: '^matching/(engine|reference)/' },
    to: { path: [`^${modules}/`], pathNot: ['^matching/[^/]+\\.ts$', '^matching/($1)/'] },
  },
  {
    name: 'matching-imports-core-infra-contracts',
    severity: 'error',
    comment: 'matching/process is the entry point: it puts the parts together',
    from: { path: '^matching/', pathNot: '^matching/process/' },
    to: {
      path: '^(ledger|policies|chains|custody|workflows|api|cli|simulators)/',
      pathNot: contractFile,
      dependencyTypesNot: ['type-only'],
    },
  },
  {
    name: 'chains-import-core-infra-contracts',
    severity: 'error',
    from: { path: '^chains/' },
    to: { path: '^(ledger|matching|policies|custody|workflows|api|cli|simulators)/', pathNot: contractFile },
  },
  {
    name: 'chains-never-import-each-other',
    severity: 'error',
    from: { path: '^chains/([^/]+)/' },
    to: { path: '^chains/[^/]+/', pathNot: '^chains/($1|sql)/' },
  },
  {
    name: 'chain-sdk-only-in-its-chain',
    severity: 'error',
    from: { pathNot: '^(chains/[^/]+|test)/' },
    to: { path: chainSdks },
  },
  {
    name: 'signer-stands-alone',
    comment: 'no database, no ledger, no api, no chain SDK: the share holders are the authority',
    severity: 'error',
    from: { path: '^custody/signer/' },
    to: {
      path: `^${modules}/`,
      pathNot: [
        '^custody/(signer|multi-party-ecdsa-wasm)/',
        '^custody/protocol\\.ts$',
        '^policies/',
        '^infra/(log|failpoint)\\.ts$',
      ],
    },
  },
  {
    name: 'engine-imports-core-only',
    severity: 'error',
    from: { path: '^custody/multi-party-ecdsa-wasm/' },
    to: { path: `^${modules}/`, pathNot: '^custody/multi-party-ecdsa-wasm/' },
  },
  {
    name: 'nobody-imports-the-signer',
    comment: 'a co-signer is a process; others speak its protocol',
    severity: 'error',
    from: { path: '^', pathNot: '^(custody/signer|test|bench)/' },
    to: { path: '^custody/signer/' },
  },
  {
    name: 'custody-facade-imports',
    severity: 'error',
    from: { path: '^custody/', pathNot: '^custody/(signer|multi-party-ecdsa-wasm)/' },
    to: { path: '^(ledger|matching|chains|workflows|api|cli|simulators)/', pathNot: contractFile },
  },
  {
    name: 'definitions-import-contracts-only',
    severity: 'error',
    from: { path: '^workflows/definitions/' },
    to: {
      path: `^${modules}/`,
      pathNot: [contractFile, '^workflows/definitions/'],
      dependencyTypesNot: ['type-only'],
    },
  },
  {
    name: 'api-and-cli-know-no-simulator',
    severity: 'error',
    from: { path: '^(api|cli)/' },
    to: { path: '^(simulators|matching/engine)/' },
  },
  {
    name: 'nobody-imports-api-or-cli',
    severity: 'error',
    from: {
      path: `^(core|infra|ledger|matching|policies|chains|custody|workflows|simulators)/`,
      pathNot: '^infra/dev/',
    },
    to: { path: '^(api|cli)/' },
  },
  {
    name: 'product-never-imports-tests',
    severity: 'error',
    from: { path: `^(core|infra|ledger|matching|policies|chains|custody|workflows|api|cli|simulators)/` },
    to: { path: '^(test|bench)/' },
  },
];

module.exports = {
  forbidden,
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^console/' },
    tsPreCompilationDeps: 'specify',
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.mjs', '.cjs', '.json'],
    },
  },
};
