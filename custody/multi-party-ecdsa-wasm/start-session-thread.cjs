// A worker thread cannot have a TypeScript entry under node 20, and tsx's ESM hooks would cost each thread a second
// thread. The synchronous hook costs about 0.1 s once per thread.
require('tsx/cjs/api').require('./session-thread.ts', __filename);
