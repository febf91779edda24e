// A worker thread cannot have a TypeScript entry under node 20. As an ES module, although tsx's hooks then cost it a thread while
// it loads: compiled to CommonJS each call of a function of another file reads a getter, which makes the engine five times slower.
import { register } from 'tsx/esm/api';

register();
await import('./engine-thread.ts');
