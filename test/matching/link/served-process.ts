/** `served-process.ts <folder>`: an engine and its link in a process of its own, for tests that kill it. Prints the port. */
import { serveLink } from '../../../matching/link/index.ts';
import { openSequencer } from '../../../matching/sequencer/index.ts';
import { loadConfig } from '../../support/matching-load.ts';

const [folder = '', token = ''] = process.argv.slice(2);
const sequencer = await openSequencer({
  folder,
  config: loadConfig,
  clock: { nowMs: () => Date.now() },
  // The test replays everything from the start.
  limits: { hashEvery: 64, snapshotEvery: 500, segmentBytes: 1 << 16, segmentsKept: 1_000_000 },
});
const { port } = await serveLink({
  sequencer,
  folder,
  config: loadConfig,
  engineName: 'main',
  token,
  listen: { host: '127.0.0.1', port: 0 },
  settlementLags: () => false,
  limits: { statusMs: 20 },
});
console.log(`port ${port}`);
