/**
 * `run-child.ts <entry point> [arguments]`: runs one of the suite's entry points so that it ends with the orchestrator,
 * however that ends: standard input is a pipe that then closes. Asks for an orderly end first.
 *
 * No preload (`--import`), because worker threads inherit those and cannot load TypeScript from them.
 */
import path from 'node:path';
import { pathToFileURL } from 'node:url';

/** What a process may take to close its stores before it is ended. */
const graceMs = 5000;

process.stdin.on('error', () => undefined);
process.stdin.on('close', () => {
  process.kill(process.pid, 'SIGTERM');
  setTimeout(() => process.exit(1), graceMs).unref();
});
process.stdin.resume();
// The pipe must not keep a process alive that has otherwise finished.
const input: unknown = process.stdin;
if (typeof input === 'object' && input !== null && 'unref' in input && typeof input.unref === 'function')
  input.unref.call(input);

// The entry point sees its own command line.
process.argv.splice(1, 1);
const entry = process.argv[1];
if (entry === undefined) throw new TypeError('usage: run-child.ts <entry point> [arguments]');
await import(pathToFileURL(path.resolve(entry)).href);
