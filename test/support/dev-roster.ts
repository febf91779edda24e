/** A development roster with software passkeys and service keys, and everything needed to sign as its members. */
import { ed25519 } from '@noble/curves/ed25519.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import type { Sha256 } from '#core/canonical-json';
import {
  type AskedOfPeople,
  approvalStatement,
  loadRoster,
  type Pins,
  signIntent,
  statementChallenge,
} from '#policies';
import type { Approval, Assertion, Intent, Roster, SignedIntent } from '#policies/contract';
import { SoftwarePasskey } from './software-passkey.ts';

export const devRelyingParty = { id: 'localhost', origins: ['http://localhost:7100'] };

/** The passkey as a roster lists it. */
export const rosterCredential = (passkey: SoftwarePasskey) => ({
  id: passkey.credentialId.toString('base64url'),
  publicKey: passkey.sec1PublicKey.toString('hex'),
});

/** A good assertion over the challenge, as an approval carries it. */
export function assertionOf(passkey: SoftwarePasskey, challenge: Uint8Array): Assertion {
  const { id, response } = passkey.assert(challenge);
  return { credentialId: id, ...response };
}

export interface ServiceKey {
  readonly keyId: string;
  readonly secretKey: Uint8Array;
}
export interface DevRoster {
  readonly roster: Roster;
  readonly rosterHash: Sha256;
  readonly passkeys: ReadonlyMap<string, SoftwarePasskey>;
  readonly serviceKeys: ReadonlyMap<string, ServiceKey>;
  passkeyOf(person: string): SoftwarePasskey;
  signIntentAs(service: string, intent: Intent): SignedIntent;
  /** A valid approval of the person, unless the options make it another one. */
  approve(options: {
    readonly intent: Intent;
    readonly approver: string;
    readonly group: string;
    readonly pins: Pins;
    readonly obligations: AskedOfPeople;
    readonly notAfter: number;
    readonly decision?: 'approve' | 'reject';
  }): Approval;
}

export interface DevRosterOptions {
  readonly people: readonly { readonly id: string; readonly groups: readonly string[] }[];
  readonly services: readonly { readonly id: string; readonly roles: readonly string[] }[];
  /** Default: one of the first group found. */
  readonly governance?: Readonly<Record<string, number>>;
  readonly version?: number;
  readonly parent?: Sha256 | null;
  readonly dev?: boolean;
  /** Passkeys and keys to keep, for the next version of a roster. */
  readonly previous?: DevRoster;
}

export function devRoster(options: DevRosterOptions): DevRoster {
  const origin = devRelyingParty.origins[0] ?? '';
  const passkeys = new Map<string, SoftwarePasskey>(
    options.people.map(({ id }) => [
      id,
      options.previous?.passkeys.get(id) ?? new SoftwarePasskey({ rpId: devRelyingParty.id, origin }),
    ]),
  );
  const serviceKeys = new Map<string, ServiceKey>(
    options.services.map(({ id }) => [
      id,
      options.previous?.serviceKeys.get(id) ?? {
        keyId: `${id}-1`,
        secretKey: ed25519.utils.randomSecretKey(),
      },
    ]),
  );
  const held = <T>(map: ReadonlyMap<string, T>, id: string): T => {
    const value = map.get(id);
    if (value === undefined) throw new Error(`${id} is not in the development roster`);
    return value;
  };
  const { roster, rosterHash } = loadRoster({
    format: 1,
    version: options.version ?? 1,
    parent: options.parent ?? null,
    dev: options.dev ?? true,
    relyingParty: devRelyingParty,
    people: options.people.map(({ id, groups }) => ({
      id,
      name: id,
      groups,
      credentials: [rosterCredential(held(passkeys, id))],
    })),
    services: options.services.map(({ id, roles }) => {
      const { keyId, secretKey } = held(serviceKeys, id);
      return { id, roles, keys: [{ id: keyId, publicKey: bytesToHex(ed25519.getPublicKey(secretKey)) }] };
    }),
    governance: { bundle: options.governance ?? { [options.people[0]?.groups[0] ?? 'treasury']: 1 } },
  });
  return {
    roster,
    rosterHash,
    passkeys,
    serviceKeys,
    passkeyOf: (person) => held(passkeys, person),
    signIntentAs: (service, intent) => {
      const { keyId, secretKey } = held(serviceKeys, service);
      return signIntent(intent, keyId, secretKey);
    },
    approve: ({ intent, approver, group, pins, obligations, notAfter, decision = 'approve' }) => {
      const asked = { rules: [...obligations.rules], approvals: { ...obligations.approvals } };
      const statement = approvalStatement({
        decision,
        intent,
        pins,
        obligations: asked,
        group,
        approver,
        notAfter,
      });
      const assertion = assertionOf(held(passkeys, approver), statementChallenge(statement));
      return { decision, group, approver, obligations: asked, notAfter, assertion };
    },
  };
}
