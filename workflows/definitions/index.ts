/** All workflows of the suite; what the worker bundles. */
export { batch } from './batch.ts';
export { batcher } from './batcher.ts';
export { chainWatcher } from './chain-watcher.ts';
export { ledgerKeeper } from './ledger-keeper.ts';
export { sweep, sweeper } from './sweeper.ts';
export { withdrawal } from './withdrawal.ts';
