/** Wire schemas of the routes. Amounts are decimal strings of base units; ids are prefixed UUIDv7 made by the caller. */
import { z } from 'zod';
import { uuidPattern } from '#core/ids';
import { assertionSchema } from '#policies/contract';
import { depositStates, withdrawalStates } from '#workflows/contract';
import { problemSchema } from '../problem.ts';

export const idOf = (prefix: string) =>
  z
    .string()
    .regex(
      new RegExp(`^${prefix}_${uuidPattern}$`),
      `${prefix}_ followed by a UUID of version 7 in lower case`,
    );

export const accountId = idOf('acc').describe('customer account, made by the caller');
export const withdrawalId = idOf('wd').describe('withdrawal, made by the caller; the idempotency key');
export const asset = z.string().min(1).max(200).describe('CAIP-19 asset id, e.g. eip155:1/slip44:60');
export const units = z
  .string()
  .min(1)
  .max(100)
  .describe('base units (wei, sat), a whole number as a decimal string');
export const address = z.string().min(1).max(128);
const controls = /(?![\t\n])\p{Cc}/u;
/** What a person writes for people. Control characters but tabs and line ends act on a screen; PostgreSQL has no NUL. */
export const textOf = (charsMax: number) =>
  z
    .string()
    .min(1)
    .max(charsMax)
    .refine((text) => !controls.test(text), 'text without control characters');

const timelineEntry = z.object({
  at: z.number().int().describe('milliseconds since 1970'),
  state: z.enum(withdrawalStates),
  event: z.string(),
  details: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
});

const obligations = z.object({
  rules: z.array(z.string()),
  approvals: z.record(z.string(), z.number().int()),
  delayMs: z.number().int(),
});
export const withdrawalView = z.object({
  id: withdrawalId,
  accountId,
  asset,
  address,
  units,
  state: z.enum(withdrawalStates),
  intentId: idOf('int'),
  intentHash: z.string(),
  decision: z
    .union([
      z.object({ outcome: z.literal('deny'), rules: z.array(z.string()), reason: z.string() }),
      z.object({ outcome: z.literal('allow'), rules: z.array(z.string()), obligations }),
    ])
    .nullable(),
  missingApprovals: z.record(z.string(), z.number().int()),
  txId: z.string().nullable(),
  feeUnits: units.nullable(),
  createdAt: z.number().int(),
  timeline: z.array(timelineEntry),
});

export const depositView = z.object({
  id: idOf('dep'),
  accountId,
  asset,
  address,
  units,
  state: z.enum(depositStates),
  txId: z.string(),
  index: z.number().int(),
  blockHeight: z.number().int(),
  blockHash: z.string(),
});

export const balanceView = z.object({ asset, available: units, held: units, provisional: units });

const approvalStatement = z.object({
  domain: z.literal('strongroom/approval/v1'),
  decision: z.enum(['approve', 'reject']),
  requestId: z.string(),
  intentHash: z.string(),
  policyHash: z.string(),
  rosterHash: z.string(),
  obligations: z.object({ rules: z.array(z.string()), approvals: z.record(z.string(), z.number().int()) }),
  group: z.string(),
  approver: z.string(),
  notAfter: z.number().int(),
});
export const approvalRequestView = z.object({
  withdrawal: withdrawalView,
  statement: approvalStatement,
  challenge: z.string().describe('base64url of SHA-256 over the canonical JSON (RFC 8785) of the statement'),
  relyingPartyId: z.string(),
  credentialIds: z.array(z.string()),
});
export const approvalAsk = z.object({
  decision: z.enum(['approve', 'reject']),
  group: z.string().min(1).max(64),
  approver: z.string().min(1).max(64),
});
export const approvalBody = approvalAsk.extend({ notAfter: z.number().int(), assertion: assertionSchema });

/** The error answers every route may give. */
export const problems = {
  '4xx': problemSchema,
  '5xx': problemSchema,
} as const;
