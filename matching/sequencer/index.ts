/** The one order of commands: queue, journal, engine, publication. */
export type { EngineState } from './engine-thread.ts';
export { inlineWholeCommands, inliningOption } from './inlining.ts';
export type { SequencerLimits } from './limits.ts';
export { openSequencer } from './open.ts';
export type {
  CommandsListener,
  EventsListener,
  Sequencer,
  SequencerNotice,
  SequencerOptions,
} from './types.ts';
