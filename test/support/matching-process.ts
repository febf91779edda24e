/**
 * `matching-process.ts <primary | standby> <folder> <socket>`: a sequencer or standby in a process of its own, for tests that
 * kill and stop it. One line per request on the socket: `<client> <serial>` submits `loadCommand`, `open <clients>`, `state`,
 * `take-over`.
 */
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { isStrongroomError, messageOf } from '#core/errors';
import { openSequencer, type Sequencer, type SequencerOptions } from '../../matching/sequencer/index.ts';
import { drillTakeOver, startStandby } from '../../matching/standby/index.ts';
import { eventsDigest, loadCommand, loadConfig, openingCommands } from './matching-load.ts';

const [role = '', folder = '', socketPath = ''] = process.argv.slice(2);
/** What a test waits for when this process was fenced. */
const fencedExitCode = 3;

const codeOf = (error: unknown): string => (isStrongroomError(error) ? error.code : messageOf(error));
const options: SequencerOptions = {
  folder,
  config: loadConfig,
  clock: { nowMs: () => Date.now() },
  limits: {
    segmentBytes: 1 << 18,
    hashEvery: 64,
    snapshotEvery: 2_000,
    snapshotsKept: 2,
    // The test replays everything from the start.
    segmentsKept: 1_000_000,
  },
  onStopped: (error) => {
    console.log(`stopped ${codeOf(error)}`);
    // After the answers that are on their way.
    setTimeout(() => process.exit(fencedExitCode), 100);
  },
};
const standby = role === 'standby' ? startStandby(options) : undefined;
let sequencer: Sequencer | undefined = standby === undefined ? await openSequencer(options) : undefined;

async function answer(line: string): Promise<string> {
  const [word = '', rest = ''] = line.split(' ');
  if (word === 'take-over') {
    if (standby === undefined) return 'no standby';
    const { sequencer: taken, report } = await drillTakeOver(standby);
    sequencer = taken;
    return `taken ${JSON.stringify(report)}`;
  }
  if (word === 'followed') return `followed ${JSON.stringify(standby?.followed ?? null)}`;
  if (sequencer === undefined) return `no ${line} standby`;
  const serving = sequencer;
  if (word === 'state') {
    const { seq, hash } = await serving.state();
    return `state ${seq} ${hash}`;
  }
  if (word === 'open') {
    const opening = openingCommands(Number.parseInt(rest, 10));
    await Promise.all(opening.map(async (body) => await serving.submit(body)));
    return 'opened';
  }
  try {
    const events = await serving.submit(loadCommand(Number.parseInt(word, 10), Number.parseInt(rest, 10)));
    return `ok ${line} ${events[0]?.seq ?? 0} ${eventsDigest(events)}`;
  } catch (error) {
    return `no ${line} ${codeOf(error)}`;
  }
}

const server = createServer((socket) => {
  socket.on('error', () => undefined);
  createInterface({ input: socket })
    .on('error', () => undefined)
    .on('line', (line) => {
      void answer(line).then((text) => socket.write(`${text}\n`));
    });
});
server.listen(socketPath, () => console.log('ready'));
process.on('SIGTERM', () => {
  void (sequencer?.close() ?? standby?.close() ?? Promise.resolve()).then(() => process.exit(0));
});
