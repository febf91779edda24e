/** What the matching engine offers to the other parts: its words, commands, events, configuration and error codes. Pure. */
export * from './commands.ts';
export * from './config.ts';
export * from './errors.ts';
export * from './events.ts';
export * from './vocabulary.ts';
