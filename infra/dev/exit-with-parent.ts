/**
 * Preloaded (`node --import`) into the suite's own processes by the orchestrator: standard input is a pipe that closes
 * when the orchestrator ends, however it ends. Asks for an orderly end first.
 */

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
