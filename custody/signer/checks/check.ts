/** The form of a check and what it may look at. */
import type { Clock } from '#core/ports';
import type { CheckName } from '#custody/protocol';
import type { DecisionLog } from '../decision-log.ts';
import type { Freezes } from '../freeze.ts';
import type { Pins } from '../pins.ts';
import type { SessionGuard } from '../ports.ts';
import type { ConflictLedger } from './conflict-ledger.ts';
import type { FirstSights } from './first-sights.ts';
import type { SpendCounters } from './spend-counters.ts';
import type { Refused, Subject } from './subject.ts';

export interface SignerState {
  readonly dev: boolean;
  readonly clock: Clock;
  readonly log: DecisionLog;
  readonly pins: Pins;
  readonly freezes: Freezes;
  readonly guard: SessionGuard;
  readonly firstSights: FirstSights;
  readonly spends: SpendCounters;
  readonly conflicts: ConflictLedger;
}

/** What a commit adds to a subject that was judged before. */
interface CommitRequest {
  /** Hex. */
  readonly signId: string;
  readonly session: string;
}

export interface Check {
  readonly name: CheckName;
  /** Says why the subject is refused, or nothing. `record` has nothing to judge before there is a sign id. */
  readonly judge?: (subject: Subject, state: SignerState) => Refused | undefined;
  /** Judges again inside the commit's transaction, then writes what the check remembers. */
  readonly commit?: (subject: Subject, state: SignerState, commit: CommitRequest) => Refused | undefined;
}
