/** The parts of co-signers in the test's own process, with their real stores, keys and engine. */
import path from 'node:path';
import { createLogger } from '#infra/log';
import type { ThresholdEcdsaEngine } from '#mpc/contract';
import { type CoSigner, openCoSigner } from '../../custody/signer/co-signer.ts';
import { loadSignerConfig } from '../../custody/signer/config.ts';
import { openCommittee, openIdentity } from '../../custody/signer/identity.ts';
import type { SessionContext } from '../../custody/signer/session-context.ts';
import { type CoSigners, clock, random } from '../support/co-signers.ts';

export interface InProcess {
  readonly context: SessionContext;
  readonly coSigner: CoSigner;
}

export function openInProcess(coSigners: CoSigners, party: number, engine: ThresholdEcdsaEngine): InProcess {
  const config = loadSignerConfig(coSigners.configFile(party));
  const coSigner = openCoSigner(config, { clock });
  const file = path.join(config.dataDir, 'identity.json');
  const identity = openIdentity({ file, party, sealer: coSigner.sealer });
  const { committee } = coSigners;
  const { gatekeeper, guard, shares } = coSigner;
  const context: SessionContext = {
    identity,
    committee,
    members: openCommittee(committee, identity),
    engine,
    gatekeeper,
    shares,
    guard,
    wallets: new Set([coSigners.wallet]),
    dev: true,
    log: createLogger(`signer-${party}`, { level: 'silent' }),
    clock,
    random,
  };
  return { context, coSigner };
}
