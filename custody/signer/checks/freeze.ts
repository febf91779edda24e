/** Check 8. No freeze flag covers the wallet or its chain; it also stops retries, bumps and cancels. */
import type { Check, SignerState } from './check.ts';
import { type Refused, refused, type Subject } from './subject.ts';

function judge({ wallet, effect }: Subject, { freezes }: SignerState): Refused | undefined {
  const flag = freezes.covering(wallet.id, effect.chain);
  return flag === undefined
    ? undefined
    : refused('freeze', 'frozen', `${flag.scope} was frozen by ${flag.by.join(', ')}: ${flag.reason}`);
}

export const freeze: Check = { name: 'freeze', judge, commit: judge };
