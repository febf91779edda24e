/** The durable order of commands: segments, snapshots, epochs, and an engine made from them. */
export { configHashOf } from './config-hash.ts';
export { assertUnfenced, claimEpoch } from './epochs.ts';
export { type AppendFile, type Files, nodeFiles } from './files.ts';
export type { StateHash } from './format.ts';
export type { JournalEnd, JournalNotice } from './reader.ts';
export { replayEvents } from './replay.ts';
export { type Recovered, Replica } from './replica.ts';
export { prune, type Retention, removeLeftovers } from './retention.ts';
export { nameSnapshot, writeSnapshot } from './snapshots.ts';
export {
  failureUnder,
  type JournalOptions,
  type JournalSource,
  JournalWriter,
  writeFailure,
} from './writer.ts';
