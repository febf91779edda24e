/**
 * The documents a decision rests on: intent, policy table, roster, approval. All of them are canonical JSON (RFC 8785)
 * and are named by the SHA-256 of it. The same types and functions run in the worker, the api and every co-signer.
 */
import { z } from 'zod';
import type { Sha256 } from '#core/canonical-json';
import type { ErrorCatalogue } from '#core/errors';
import { isId } from '#core/ids';
import { amountDigitsMax } from '#core/money';

/** Domains: every signature and every challenge covers one, so that no document can stand in for another. */
export const domains = {
  intent: 'strongroom/intent/v1',
  approval: 'strongroom/approval/v1',
  bundle: 'strongroom/bundle/v1',
  freeze: 'strongroom/freeze/v1',
  haltLift: 'strongroom/halt-lift/v1',
  adjustment: 'strongroom/adjustment-signature/v1',
} as const;

/** Limits; a document over one of them is refused before it is evaluated. */
export const outputsMax = 500; // one batch of the largest chain, Bitcoin
export const rulesMax = 500; // far above any table a person can review
export const peopleMax = 500;
export const approvalsMax = 64; // groups x quorum of the strictest rule, with room

const unitsText = z
  .string()
  .max(amountDigitsMax)
  .regex(/^(?:0|[1-9][0-9]*)$/, 'a whole number of base units');
const shortText = z.string().min(1).max(200);
const name = z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/, 'lower case letters, digits and hyphens');
const timestampMs = z.number().int().min(0).max(8_640_000_000_000_000);
const sha256Text = z.custom<Sha256>(
  (v) => typeof v === 'string' && /^sha256:[0-9a-f]{64}$/.test(v),
  'sha256:<hex>',
);
const base64url = z
  .string()
  .regex(/^[A-Za-z0-9_-]*$/, 'base64url')
  .max(8192);
export const hexText = z.string().regex(/^(?:[0-9a-f]{2})*$/, 'lower case hex');

export const tiers = ['hot', 'warm', 'cold'] as const;
export type Tier = (typeof tiers)[number];
export const actions = ['withdraw', 'sweep'] as const;
export type Action = (typeof actions)[number];
/** Where value goes, seen from the paying wallet: its own hot address (by derivation), or anywhere else. */
export const destinationClasses = ['own-hot', 'external'] as const;
export type DestinationClass = (typeof destinationClasses)[number];

// ---------------------------------------------------------------- intent

/** What shall happen, whoever asks for it. `intentHash` = SHA-256 of its canonical JSON. */
export const intentSchema = z.strictObject({
  version: z.literal(1),
  id: z.custom<`int_${string}`>((v) => typeof v === 'string' && isId('int', v), 'int_<uuid>'),
  action: z.enum(actions),
  vault: name,
  /** CAIP-19 asset id. */
  asset: shortText,
  outputs: z
    .array(z.strictObject({ address: shortText, memo: z.string().max(256).optional(), units: unitsText }))
    .min(1)
    .max(outputsMax),
  /** The most that may be paid to the network over all attempts that can be mined, in the chain's own asset. */
  feeCap: z.strictObject({ asset: shortText, units: unitsText }),
  /** The wallet whose conflict sets (nonces, inputs) serve this intent. */
  conflictScope: z.custom<`wal_${string}`>((v) => typeof v === 'string' && isId('wal', v), 'wal_<uuid>'),
  /** Path of the paying address below the wallet's root: `m/1/0` hot, `m/0/i` deposit address i. */
  source: z.string().regex(/^m(?:\/(?:0|[1-9][0-9]{0,9})){1,4}$/),
  /** Free text for people: the withdrawal's id, the reason of a treasury move. */
  purpose: shortText,
  /** Id of a service or person of the roster. */
  initiator: name,
  createdAt: timestampMs,
  notAfter: timestampMs,
});
export type Intent = z.infer<typeof intentSchema>;

/** An intent with its initiator's Ed25519 signature over canonical JSON of `{domain: domains.intent, intentHash}`. */
export const signedIntentSchema = z.strictObject({
  intent: intentSchema,
  keyId: name,
  /** Ed25519 (RFC 8032), base64url, 64 bytes. */
  signature: base64url,
});
export type SignedIntent = z.infer<typeof signedIntentSchema>;

// ---------------------------------------------------------------- roster

export const rosterSchema = z.strictObject({
  format: z.literal(1),
  version: z.number().int().min(1),
  parent: sha256Text.nullable(),
  /** A development roster holds software passkeys; a co-signer not started with --dev refuses it. */
  dev: z.boolean(),
  /** WebAuthn relying party that approvals are made for. */
  relyingParty: z.strictObject({ id: shortText, origins: z.array(shortText).min(1).max(8) }),
  people: z
    .array(
      z.strictObject({
        id: name,
        name: shortText,
        groups: z.array(name).max(16),
        credentials: z
          .array(
            z.strictObject({
              /** WebAuthn credential id, base64url. */
              id: base64url,
              /** P-256 public key, uncompressed SEC1 point, 65 bytes hex. */
              publicKey: hexText.length(130),
            }),
          )
          .max(16),
      }),
    )
    .max(peopleMax),
  services: z
    .array(
      z.strictObject({
        id: name,
        roles: z.array(name).min(1).max(8),
        keys: z
          .array(z.strictObject({ id: name, /** Ed25519, 32 bytes hex. */ publicKey: hexText.length(64) }))
          .min(1)
          .max(8),
      }),
    )
    .max(64),
  /** Who must sign the next policy or roster: people per group. */
  governance: z.strictObject({ bundle: z.record(name, z.number().int().min(1).max(16)) }),
});
export type Roster = z.infer<typeof rosterSchema>;

// ---------------------------------------------------------------- policy

const setCondition = z.union([
  z.string().transform((v) => [v]),
  z.array(z.string()).min(1),
  z.strictObject({ not: z.array(z.string()).min(1) }),
]);
const rangeCondition = z.strictObject({
  gt: unitsText.optional(),
  gte: unitsText.optional(),
  lt: unitsText.optional(),
  lte: unitsText.optional(),
});
export const conditionsSchema = z.strictObject({
  action: setCondition.optional(),
  initiatorRole: setCondition.optional(),
  tier: setCondition.optional(),
  vault: setCondition.optional(),
  asset: setCondition.optional(),
  destination: setCondition.optional(),
  address: setCondition.optional(),
  /** Total of the intent's outputs, base units; needs `asset` with exactly one value. */
  amount: rangeCondition.optional(),
  feeCap: rangeCondition.optional(),
});
export type Conditions = z.infer<typeof conditionsSchema>;

const ruleBase = { id: z.string().regex(/^[A-Z][A-Z0-9]{0,7}$/), title: shortText, when: conditionsSchema };
const durationText = z.string().regex(/^[1-9][0-9]{0,5}(?:s|m|h|d)$/, 'a duration such as 30m or 24h');
export const ruleSchema = z.discriminatedUnion('effect', [
  z.strictObject({ ...ruleBase, effect: z.literal('allow') }),
  z.strictObject({ ...ruleBase, effect: z.literal('deny') }),
  z.strictObject({
    ...ruleBase,
    effect: z.literal('require'),
    require: z.strictObject({
      /** People per group. */
      approvals: z.record(name, z.number().int().min(1).max(16)).optional(),
      /** Wait from the first sight of the intent. */
      delay: durationText.optional(),
    }),
  }),
]);
export type Rule = z.infer<typeof ruleSchema>;

export const policySchema = z.strictObject({
  policy: name,
  format: z.literal(1),
  version: z.number().int().min(1),
  parent: sha256Text.nullable(),
  default: z.literal('deny'),
  rules: z.array(ruleSchema).min(1).max(rulesMax),
  /** Global spend limits per asset (amount + fee cap, all wallets); a co-signer enforces its local part of each. */
  velocity: z.array(z.strictObject({ asset: shortText, window: durationText, max: unitsText })).max(64),
});
export type Policy = z.infer<typeof policySchema>;

// ---------------------------------------------------------------- decision

/** What a rule can look at. Everything is decoded or derived by the evaluating process itself. */
export interface PolicyInput {
  readonly action: Action;
  readonly initiatorRoles: readonly string[];
  readonly tier: Tier;
  readonly vault: string;
  readonly asset: string;
  /** Total of all outputs. */
  readonly units: bigint;
  readonly feeCapUnits: bigint;
  readonly destinations: readonly { readonly class: DestinationClass; readonly address: string }[];
}
export interface Obligations {
  /** Ids of the matching require rules, sorted. */
  readonly rules: readonly string[];
  /** People needed per group: the maximum over the matching rules. */
  readonly approvals: Readonly<Record<string, number>>;
  readonly delayMs: number;
}
export type Decision =
  | { readonly outcome: 'deny'; readonly rules: readonly string[]; readonly reason: string }
  | { readonly outcome: 'allow'; readonly rules: readonly string[]; readonly obligations: Obligations };

// ---------------------------------------------------------------- approval

/** The statement a person signs; its canonical JSON's SHA-256 is the WebAuthn challenge. */
export interface ApprovalStatement {
  readonly domain: typeof domains.approval;
  readonly decision: 'approve' | 'reject';
  /** The intent's id. */
  readonly requestId: string;
  readonly intentHash: Sha256;
  readonly policyHash: Sha256;
  readonly rosterHash: Sha256;
  readonly obligations: {
    readonly rules: readonly string[];
    readonly approvals: Readonly<Record<string, number>>;
  };
  readonly group: string;
  readonly approver: string;
  readonly notAfter: number;
}

/** A WebAuthn assertion (W3C WebAuthn Level 3, section 7.2), all fields base64url. */
export const assertionSchema = z.strictObject({
  credentialId: base64url,
  authenticatorData: base64url,
  clientDataJSON: base64url,
  /** ECDSA P-256, DER. */
  signature: base64url,
});
export type Assertion = z.infer<typeof assertionSchema>;

/** What travels: only what a co-signer cannot rebuild itself. It rebuilds the statement and compares the challenge. */
export const approvalSchema = z.strictObject({
  decision: z.enum(['approve', 'reject']),
  group: name,
  approver: name,
  obligations: z.strictObject({
    rules: z.array(z.string().max(16)).max(rulesMax),
    approvals: z.record(name, z.number().int().min(0).max(16)),
  }),
  notAfter: timestampMs,
  assertion: assertionSchema,
});
export type Approval = z.infer<typeof approvalSchema>;

/** What governance signs to put a new policy and roster in force. */
export interface BundleStatement {
  readonly domain: typeof domains.bundle;
  readonly policyHash: Sha256;
  readonly policyVersion: number;
  readonly rosterHash: Sha256;
  readonly rosterVersion: number;
  readonly parentPolicyHash: Sha256;
  readonly parentRosterHash: Sha256;
  readonly group: string;
  readonly approver: string;
}
/** `scope` is `all`, `wallet:<id>` or `chain:<CAIP-2 id>`. One person freezes, two different people lift. */
export interface FreezeStatement {
  readonly domain: typeof domains.freeze;
  readonly decision: 'freeze' | 'lift';
  readonly scope: string;
  readonly reason: string;
  readonly approver: string;
  readonly at: number;
}

/** One person's word that a halt of our own processes may end; two are needed. Co-signers take none of it. */
export interface HaltLiftStatement {
  readonly domain: typeof domains.haltLift;
  readonly scope: string;
  /** When and why it was halted: no later halt of the same scope is lifted by it. Unix milliseconds. */
  readonly setAt: number;
  readonly haltReason: string;
  readonly rosterHash: Sha256;
  /** Why it may end. */
  readonly reason: string;
  readonly approver: string;
  readonly notAfter: number;
}

/** One person's word on a correction of the ledger; one proposes, another approves. Co-signers take none of it. */
export interface AdjustmentStatement {
  readonly domain: typeof domains.adjustment;
  readonly act: 'propose' | 'approve';
  /** Hash of its whole content: proposer, reason, what it corrects, legs. */
  readonly adjustment: Sha256;
  readonly rosterHash: Sha256;
  readonly approver: string;
  readonly notAfter: number;
}

/** Why an assertion or an approval is not good; the first that applies. */
export type ApprovalDefect =
  | 'credential-unknown'
  | 'approver-unknown'
  | 'approver-not-in-group'
  | 'approver-is-initiator'
  | 'approver-twice'
  | 'relying-party-mismatch'
  | 'origin-mismatch'
  | 'type-mismatch'
  | 'challenge-mismatch'
  | 'user-not-present'
  | 'user-not-verified'
  | 'signature-invalid'
  | 'statement-expired'
  | 'obligations-too-small'
  | 'malformed';

export const policyErrors = {
  POLICY_DOCUMENT_INVALID: {
    kind: 'invalid',
    why: 'A policy, roster, intent or approval does not have the form its schema asks for.',
    whatToDo:
      'Correct the field the message names; unknown fields are refused so that a typo cannot weaken a rule.',
  },
  POLICY_CONTRADICTION: {
    kind: 'invalid',
    why: 'A policy contains a rule that can never match or a group the roster cannot satisfy.',
    whatToDo: 'Correct the named rule or give the named group enough people (quorum plus the initiator).',
  },
  POLICY_DENIED: {
    kind: 'forbidden',
    why: 'The policy in force denies this intent.',
    whatToDo: 'Read the named rules; only a new policy version can allow it.',
  },
  POLICY_APPROVAL_REFUSED: {
    kind: 'forbidden',
    why: 'An approval does not count: wrong person, group, statement, passkey or time.',
    whatToDo: 'See the named defect; fetch the statement again and sign it with a passkey of the roster.',
  },
} as const satisfies ErrorCatalogue;
