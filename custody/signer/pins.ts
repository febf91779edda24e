/**
 * The policy and roster in force at this co-signer. Taken from its files once, when their hashes are the pinned ones; from
 * then on they change only through a bundle signed as the roster in force asks. The highest version seen is durable, so
 * neither a message nor an edited configuration can go back behind it.
 */
import { hashJson, type JsonValue, type Sha256 } from '#core/canonical-json';
import { errorsOf } from '#core/errors';
import { type Bundle, bundleSchema, custodyErrors } from '#custody/protocol';
import { checkPolicyAgainstRoster, judgeBundle, loadPolicy, loadRoster } from '#policies';
import type { Policy, Roster } from '#policies/contract';
import type { SignerConfig } from './config.ts';
import type { DecisionLog } from './decision-log.ts';
import type { SignerStore } from './store.ts';

const fail = errorsOf(custodyErrors);

interface PinnedDocuments {
  readonly policy: Policy;
  readonly policyHash: Sha256;
  readonly roster: Roster;
  readonly rosterHash: Sha256;
}

export interface Pins {
  current(): PinnedDocuments;
  /** Puts a bundle in force. @throws CUSTODY_REFUSED (details.check `pins`) */
  activateBundle(bundle: unknown): PinnedDocuments;
}

export interface PinsOptions {
  readonly store: SignerStore;
  readonly log: DecisionLog;
  readonly dev: boolean;
  readonly pinned: SignerConfig['pins'];
  /** Reads the documents of the first start; not called again after it. */
  readonly readDocuments: () => { readonly policy: unknown; readonly roster: unknown };
}

interface StoredDocument {
  readonly hash: Sha256;
  readonly version: number;
  readonly document: JsonValue;
}

function load(policyValue: unknown, rosterValue: unknown): PinnedDocuments {
  const { roster, rosterHash } = loadRoster(rosterValue);
  const { policy, policyHash } = loadPolicy(policyValue);
  checkPolicyAgainstRoster(policy, roster);
  return { policy, policyHash, roster, rosterHash };
}

/** Higher than what is in force needs a bundle; the same version must be the same document; lower changes nothing. */
function assertPinAllowed(
  what: 'policy' | 'roster',
  pinned: { readonly hash: Sha256; readonly version: number },
  inForce: { readonly hash: Sha256; readonly version: number },
): void {
  if (pinned.version > inForce.version)
    throw fail(
      'CUSTODY_CONFIG_INVALID',
      `pins: ${what} version ${pinned.version} is above ${inForce.version} in force; activate it with a signed bundle`,
    );
  if (pinned.version === inForce.version && pinned.hash !== inForce.hash)
    throw fail(
      'CUSTODY_CONFIG_INVALID',
      `pins: ${what} version ${pinned.version} is in force with another content`,
    );
}

/** @throws CUSTODY_CONFIG_INVALID, CUSTODY_STORE_CORRUPT, POLICY_DOCUMENT_INVALID, POLICY_CONTRADICTION */
export function openPins({ store, log, dev, pinned, readDocuments }: PinsOptions): Pins {
  const table = store.table<StoredDocument>('documents');
  const wanted = {
    policy: { hash: pinned.policyHash, version: pinned.policyVersion },
    roster: { hash: pinned.rosterHash, version: pinned.rosterVersion },
  };

  function save(documents: PinnedDocuments): void {
    const { policy, policyHash, roster, rosterHash } = documents;
    table.put('policy', { hash: policyHash, version: policy.version, document: policy as JsonValue });
    table.put('roster', { hash: rosterHash, version: roster.version, document: roster as JsonValue });
  }
  function firstStart(): PinnedDocuments {
    const files = readDocuments();
    const documents = load(files.policy, files.roster);
    const given = {
      policy: { hash: documents.policyHash, version: documents.policy.version },
      roster: { hash: documents.rosterHash, version: documents.roster.version },
    };
    for (const what of ['policy', 'roster'] as const)
      if (given[what].hash !== wanted[what].hash || given[what].version !== wanted[what].version)
        throw fail(
          'CUSTODY_CONFIG_INVALID',
          `the ${what} file is version ${given[what].version} with ${given[what].hash}, pinned is version ${wanted[what].version} with ${wanted[what].hash}`,
        );
    store.transact(() => save(documents));
    return documents;
  }
  function restart(policy: StoredDocument, roster: StoredDocument): PinnedDocuments {
    if (hashJson(policy.document) !== policy.hash || hashJson(roster.document) !== roster.hash)
      throw fail('CUSTODY_STORE_CORRUPT', 'a stored policy or roster is not the one its hash names');
    assertPinAllowed('policy', wanted.policy, policy);
    assertPinAllowed('roster', wanted.roster, roster);
    return load(policy.document, roster.document);
  }

  const storedPolicy = table.get('policy');
  const storedRoster = table.get('roster');
  let current =
    storedPolicy === undefined || storedRoster === undefined
      ? firstStart()
      : restart(storedPolicy, storedRoster);
  if (current.roster.dev !== dev)
    throw fail(
      'CUSTODY_CONFIG_INVALID',
      dev
        ? 'a development start needs a development roster'
        : 'a development roster is taken with --dev only',
    );

  return {
    current: () => current,
    activateBundle(value) {
      const refuse = (reason: string, message: string) =>
        fail('CUSTODY_REFUSED', message, { check: 'pins', reason });
      const parsed = bundleSchema.safeParse(value);
      if (!parsed.success) throw refuse('bundle-malformed', 'the bundle does not have the form of a bundle');
      const bundle: Bundle = parsed.data;
      const judgement = judgeBundle({ bundle, currentPolicy: current.policy, currentRoster: current.roster });
      if (!judgement.accepted) throw refuse(judgement.reason, judgement.message);
      if (bundle.roster.dev !== dev) throw refuse('dev-roster', 'the roster must keep its development mark');
      const next = load(bundle.policy, bundle.roster);
      store.transact(() => {
        save(next);
        log.append('bundle-activated', {
          policyHash: next.policyHash,
          policyVersion: next.policy.version,
          rosterHash: next.rosterHash,
          rosterVersion: next.roster.version,
          approvers: [...new Set(bundle.approvals.map(({ approver }) => approver))],
        });
      });
      current = next;
      return current;
    },
  };
}
