import { errorsOf } from '#core/errors';
import { policyErrors } from './contract.ts';

const fail = errorsOf(policyErrors);

const millisecondsPer = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
/** Six digits of days are 8.64e13 ms: far below 2^53, so a duration is always an exact number. */
const durationPattern = /^([1-9][0-9]{0,5})([smhd])$/;

/**
 * A duration such as `30m` or `24h` in milliseconds. Zero, signs, fractions and sums (`1h30m`) are refused.
 * @throws POLICY_DOCUMENT_INVALID
 */
export function parseDurationMs(text: string): number {
  const match = durationPattern.exec(text);
  if (match === null)
    throw fail(
      'POLICY_DOCUMENT_INVALID',
      `"${text.slice(0, 40)}" is not a duration such as 30s, 30m, 24h or 7d`,
    );
  const unit = match[2] as keyof typeof millisecondsPer;
  return Number.parseInt(match[1] ?? '', 10) * millisecondsPer[unit];
}
