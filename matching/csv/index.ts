/** The engine as a program: a file of commands in, a file of events out. */
export { eventColumns } from './events.ts';
export { plainConfig } from './plain-config.ts';
export { commandColumns } from './row.ts';
export { type EngineRun, runCommands } from './run.ts';
