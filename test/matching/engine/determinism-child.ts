/**
 * One process of the determinism test: runs a stream, prints a JSON line per cut with the hash there, and at each cut goes on
 * with an engine restored from its own snapshot where it is told to.
 * Arguments: name of the configuration, seed, number of commands, cuts as a JSON array, `through` or `restore`.
 */
import { createHash } from 'node:crypto';
import { type Command, commandBytes, commandSlots, writeCommand } from '../../../matching/commands.ts';
import { createEngine, restoreEngine } from '../../../matching/engine/index.ts';
import { drained } from './both.ts';
import * as configs from './configs.ts';
import { Stream } from './streams.ts';

const [name = '', seed = '', count = '', cutsGiven = '[]', mode = ''] = process.argv.slice(2);
const named: Readonly<Record<string, typeof configs.oneMarket>> = {
  oneMarket: configs.oneMarket,
  threeMarkets: configs.threeMarkets,
};
const config = named[name];
if (config === undefined) throw new Error(`no configuration is called ${name}`);
const cuts = new Set(JSON.parse(cutsGiven) as number[]);
const last = Number.parseInt(count, 10);

const stream = new Stream(config, Number.parseInt(seed, 10));
const slots = commandSlots(new ArrayBuffer(commandBytes));
let engine = createEngine(config);
let events = 0;
for (let at = 1; at <= last; at++) {
  const command: Command = stream.next();
  writeCommand(slots, 0, command);
  events += engine.submit(slots, 0);
  stream.see(drained(engine));
  if (at !== last && !cuts.has(at)) continue;
  const snapshot = engine.snapshot();
  const digest = createHash('sha256').update(snapshot).digest('hex');
  process.stdout.write(`${JSON.stringify({ at, hash: engine.stateHash(), snapshot: digest, events })}\n`);
  if (mode === 'restore') engine = restoreEngine(config, snapshot);
}
