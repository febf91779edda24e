import { hashJsonBytes } from '#core/canonical-json';
import type { EngineConfig } from '../config.ts';

/** What a journal and its snapshots are bound to: SHA-256 of the canonical configuration. */
export const configHashOf = (config: EngineConfig): Uint8Array => hashJsonBytes(config);
