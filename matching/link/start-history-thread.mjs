// As in matching/sequencer/start-engine-thread.mjs.
import { register } from 'tsx/esm/api';

register();
await import('./history-thread.ts');
