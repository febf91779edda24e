/**
 * The ten checks as one gate. `check` judges a request; `commit` judges again what may have changed since and writes spend,
 * conflict set, sign id and log record in one synced transaction, before the first protocol message leaves.
 */
import { bytesToHex } from '@noble/hashes/utils.js';
import type { Sha256 } from '#core/canonical-json';
import { invariant } from '#core/errors';
import type { Clock } from '#core/ports';
import { type SignRequest, signRequestSchema } from '#custody/protocol';
import type { Logger } from '#infra/log';
import { evaluate, rolesOf } from '#policies';
import type { Decision, Intent } from '#policies/contract';
import type { Check, SignerState } from './checks/check.ts';
import { openConflictLedger } from './checks/conflict-ledger.ts';
import { openFirstSights } from './checks/first-sights.ts';
import { allChecks } from './checks/index.ts';
import { openSpendCounters } from './checks/spend-counters.ts';
import {
  buildSubject,
  type Effect,
  isRefused,
  type Refused,
  refused,
  type Subject,
  type SubjectSources,
} from './checks/subject.ts';
import type { WalletConfig } from './config.ts';
import type { DecisionLog } from './decision-log.ts';
import { cachedAddressAtPath } from './decode/address.ts';
import type { Freezes } from './freeze.ts';
import type { Pins } from './pins.ts';
import type { Authorisation, CheckOutcome, Gatekeeper, SessionGuard, ShareStore } from './ports.ts';
import { createRateWindow } from './rate-window.ts';
import type { SignerStore } from './store.ts';

/** A flood of bad requests must not fill the disk; what is not recorded one by one is counted. */
const refusalsRecordedPerMinuteMax = 120;
const minuteMs = 60_000;
/** A request may carry 500 intents; a transfer carries out one, so the first few name it. */
const refusedIntentsRecordedMax = 4;
const signIdBytes = 32;

export interface GatekeeperOptions {
  readonly config: {
    readonly party: number;
    readonly dev: boolean;
    readonly wallets: readonly WalletConfig[];
  };
  readonly store: SignerStore;
  readonly log: DecisionLog;
  readonly shares: Pick<ShareStore, 'activeEpoch' | 'facts'>;
  readonly guard: SessionGuard;
  readonly pins: Pins;
  readonly freezes: Freezes;
  readonly clock: Clock;
  /** Alerts go here. */
  readonly logger?: Logger;
  /** All ten in their order, unless a test takes one out to show that nothing else refuses its attack. */
  readonly checks?: readonly Check[];
}

/** Undoes the commit's transaction. */
class CommitRefused extends Error {
  readonly refusal: Refused;
  constructor(refusal: Refused) {
    super(refusal.message);
    this.refusal = refusal;
  }
}

function openState(options: GatekeeperOptions): SignerState {
  const { config, store, log, pins, freezes, guard, clock } = options;
  return {
    dev: config.dev,
    clock,
    log,
    pins,
    freezes,
    guard,
    firstSights: openFirstSights(store, log),
    spends: openSpendCounters(store),
    conflicts: openConflictLedger(store),
  };
}

function subjectSources(options: GatekeeperOptions, state: SignerState): SubjectSources {
  const { config, shares } = options;
  return {
    party: config.party,
    wallets: config.wallets,
    activeEpoch: (wallet) => shares.activeEpoch(wallet),
    facts: (wallet, epoch) => shares.facts(wallet, epoch),
    addressAtPath: cachedAddressAtPath(),
    isRecorded(intentId: string, intentHash: Sha256, conflictSet: string): boolean {
      const set = state.conflicts.setOf(intentId);
      return set?.intentHash === intentHash && set.conflictSet === conflictSet;
    },
    /** Over the decoded effect and not over what the intent claims. */
    evaluate(intent: Intent, wallet: WalletConfig, effect: Effect, ownHot: string): Decision {
      const { policy, roster } = state.pins.current();
      return evaluate(policy, {
        action: intent.action,
        initiatorRoles: rolesOf(roster, intent.initiator),
        tier: wallet.tier,
        vault: wallet.vault,
        asset: effect.asset,
        units: effect.units,
        feeCapUnits: BigInt(intent.feeCap.units),
        destinations: [{ class: effect.to === ownHot ? 'own-hot' : 'external', address: effect.to }],
      });
    },
  };
}

/** Writes refusals to the log and the alert channel, at a bounded rate. */
function refusalRecorder({ config, log, clock, logger }: GatekeeperOptions) {
  const window = createRateWindow({ max: refusalsRecordedPerMinuteMax, windowMs: minuteMs, clock });
  return (refusal: Refused, request: SignRequest | undefined): CheckOutcome => {
    const about = {
      check: refusal.check,
      reason: refusal.reason,
      wallet: request?.wallet ?? null,
      intentIds: request?.intents.slice(0, refusedIntentsRecordedMax).map(({ intent }) => intent.id) ?? [],
    };
    const place = window.take();
    if (place.fits) {
      log.append('refused', { ...about, message: refusal.message, suppressed: place.suppressed });
      logger?.warn({ ...about, message: refusal.message }, 'signer.refused');
    }
    return { ok: false, refusal: { ...refusal, party: config.party } };
  };
}

function authorisationOf(subject: Subject): Authorisation {
  const { request, requestHash, digest, wallet, sender } = subject;
  return {
    request,
    requestHash,
    digest,
    wallet: wallet.id,
    epoch: request.epoch,
    path: request.path,
    sender,
  };
}

export function createGatekeeper(options: GatekeeperOptions): Gatekeeper {
  const { store, log, clock, checks = allChecks } = options;
  const state = openState(options);
  const sources = subjectSources(options, state);
  const recordRefusal = refusalRecorder(options);
  /** A commit is for a request that passed here and for no other. */
  const judged = new WeakMap<Authorisation, Subject>();

  function check(value: unknown): CheckOutcome {
    const parsed = signRequestSchema.safeParse(value);
    if (!parsed.success) {
      const where = parsed.error.issues[0]?.path.join('.') ?? '';
      return recordRefusal(
        refused('decode', 'request-malformed', `the request is malformed at "${where}"`),
        undefined,
      );
    }
    const request = parsed.data;
    const subject = buildSubject(request, sources, clock.nowMs());
    if (isRefused(subject)) return recordRefusal(subject, request);
    for (const { judge } of checks) {
      const refusal = judge?.(subject, state);
      if (refusal !== undefined) return recordRefusal(refusal, request);
    }
    const authorisation = authorisationOf(subject);
    judged.set(authorisation, subject);
    return { ok: true, authorisation };
  }

  function commit(authorisation: Authorisation, signId: Uint8Array, session: string): CheckOutcome {
    const earlier = judged.get(authorisation);
    invariant(earlier !== undefined, 'a commit needs an authorisation of this gatekeeper');
    invariant(signId.length === signIdBytes, 'a sign id has 32 bytes');
    const subject: Subject = {
      ...earlier,
      nowMs: clock.nowMs(),
      recorded: sources.isRecorded(earlier.intent.id, earlier.intentHash, earlier.conflictSet),
    };
    try {
      store.transact(() => {
        for (const item of checks) {
          const refusal = item.commit?.(subject, state, { signId: bytesToHex(signId), session });
          if (refusal !== undefined) throw new CommitRefused(refusal);
        }
      });
    } catch (error) {
      if (error instanceof CommitRefused) return recordRefusal(error.refusal, subject.request);
      throw error;
    }
    return { ok: true, authorisation };
  }

  return {
    // Promise executors turn a throw into a rejection; the work itself is synchronous and must stay so, because two
    // requests may not interleave between judging and writing.
    check: (request) => new Promise((resolve) => resolve(check(request))),
    commit: (authorisation, signId, session) =>
      new Promise((resolve) => resolve(commit(authorisation, signId, session))),
    conclude(authorisation, session, { signed, detail }) {
      log.append('concluded', {
        session,
        requestHash: authorisation.requestHash,
        signed,
        detail: detail.slice(0, 500),
      });
    },
  };
}
