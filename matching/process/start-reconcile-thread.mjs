// A worker thread cannot have a TypeScript entry under node 20.
import { register } from 'tsx/esm/api';

register();
await import('./reconcile-thread.ts');
