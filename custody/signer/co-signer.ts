/** Opens everything a co-signer decides with, in the order in which one part needs another. */

import { z } from 'zod';
import type { Clock } from '#core/ports';
import type { Logger } from '#infra/log';
import type { Check } from './checks/check.ts';
import { assertStartAllowed, readDocument, type SignerConfig } from './config.ts';
import { type DecisionLog, openDecisionLog } from './decision-log.ts';
import { type Freezes, openFreezes } from './freeze.ts';
import { createGatekeeper } from './gatekeeper.ts';
import { type LedgerHeads, openLedgerHeads } from './ledger-heads.ts';
import { openPins, type Pins } from './pins.ts';
import type { Gatekeeper, SessionGuard, ShareStore } from './ports.ts';
import { openSealer, type Sealer } from './sealing.ts';
import { openSessionGuard, openShareStore } from './shares.ts';
import { openSignerStore } from './store.ts';

export interface CoSigner {
  readonly config: SignerConfig;
  readonly decisionLog: DecisionLog;
  readonly sealer: Sealer;
  readonly shares: ShareStore;
  readonly guard: SessionGuard;
  readonly pins: Pins;
  readonly freezes: Freezes;
  readonly ledgerHeads: LedgerHeads;
  readonly gatekeeper: Gatekeeper;
  close(): Promise<void>;
}

export interface CoSignerOptions {
  readonly clock: Clock;
  readonly logger?: Logger;
  readonly checks?: readonly Check[];
}

/** @throws CUSTODY_CONFIG_INVALID, CUSTODY_STORE_CORRUPT, POLICY_DOCUMENT_INVALID, POLICY_CONTRADICTION */
export function openCoSigner(config: SignerConfig, options: CoSignerOptions): CoSigner {
  const { clock, logger, checks } = options;
  assertStartAllowed(config);
  const store = openSignerStore(config.dataDir);
  const decisionLog = openDecisionLog(store, clock);
  const sealer = openSealer(config, store);
  const { party, dev } = config;
  const shares = openShareStore({ store, sealer, log: decisionLog, party, dev });
  const guard = openSessionGuard(store, decisionLog, clock);
  const pins = openPins({
    store,
    log: decisionLog,
    dev,
    pinned: config.pins,
    readDocuments: () => ({
      policy: readDocument(z.unknown(), config.policyFile),
      roster: readDocument(z.unknown(), config.rosterFile),
    }),
  });
  const freezes = openFreezes({ store, log: decisionLog, pins, clock });
  const ledgerHeads = openLedgerHeads({
    store,
    log: decisionLog,
    clock,
    publicKey: config.ledgerPublicKey,
    logger,
  });
  const { policyHash, rosterHash } = pins.current();
  decisionLog.append('started', { party, dev, policyHash, rosterHash });
  const gatekeeper = createGatekeeper({
    config,
    store,
    log: decisionLog,
    shares,
    guard,
    pins,
    freezes,
    clock,
    ...(logger === undefined ? {} : { logger }),
    ...(checks === undefined ? {} : { checks }),
  });
  return {
    config,
    decisionLog,
    sealer,
    shares,
    guard,
    pins,
    freezes,
    ledgerHeads,
    gatekeeper,
    close: async () => await store.close(),
  };
}
