/** The ten checks in their order (design section 7). */
import { approvals } from './approvals.ts';
import type { Check } from './check.ts';
import { conflict } from './conflict.ts';
import { decode } from './decode.ts';
import { digest } from './digest.ts';
import { freeze } from './freeze.ts';
import { intent } from './intent.ts';
import { pins } from './pins.ts';
import { policy } from './policy.ts';
import { record } from './record.ts';
import { spend } from './spend.ts';

export const allChecks: readonly Check[] = Object.freeze([
  decode,
  digest,
  intent,
  pins,
  approvals,
  policy,
  spend,
  freeze,
  conflict,
  record,
]);
