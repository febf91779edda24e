/** Corrections of the ledger by hand: one person proposes, another approves, each with a passkey. */
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Sha256 } from '#core/canonical-json';
import { uuidPattern } from '#core/ids';
import { assertionSchema } from '#policies/contract';
import type { AdjustmentOperations, AdjustmentRequest, AdjustmentView } from '#workflows';
import { type Authenticate, requireRole } from '../auth.ts';
import * as s from './schemas.ts';

const readers = ['treasury', 'compliance', 'auditor'] as const;
/** The auditor only looks. */
const workers = ['treasury', 'compliance'] as const;

const adjustmentId = z.custom<Sha256>(
  (v) => typeof v === 'string' && /^sha256:[0-9a-f]{64}$/.test(v),
  'sha256:<hex>',
);
const params = z.object({
  adjustmentId: z
    .string()
    .regex(/^sha256:[0-9a-f]{64}$/, 'sha256:<hex>')
    .describe('the hash of its content'),
});
const person = z.string().min(1).max(64).describe('id of a person of the roster');
const path = z.string().min(1).max(128).describe('account path, e.g. house:suspense');

const proposalFields = {
  proposedBy: person,
  reason: s.textOf(1_000).describe('one line'),
  corrects: z
    .string()
    .regex(new RegExp(`^tr_${uuidPattern}$`), 'tr_ followed by a UUID')
    .optional()
    .describe('the transfer that was wrong'),
  legs: z
    .array(z.strictObject({ debit: path, credit: path, asset: s.asset, units: s.units }))
    .min(1)
    .max(20),
};
const proposal = z.strictObject(proposalFields);
const signed = { notAfter: z.number().int(), assertion: assertionSchema };
const view = z.object({
  id: z.string(),
  ...proposalFields,
  reason: z.string(),
  proposedAt: z.number().int().describe('milliseconds since 1970'),
  people: z.array(
    z.object({
      person: z.string(),
      act: z.enum(['propose', 'approve']),
      defect: z
        .string()
        .nullable()
        .describe('what is wrong with the signature kept, by the roster in force; null if it is good'),
    }),
  ),
  state: z.enum(['proposed', 'approved', 'booked']),
  refused: z
    .object({ code: z.string(), message: z.string() })
    .nullable()
    .describe('why it could not be booked just now although it is approved'),
});
const requestView = z.object({
  adjustment: z.object({ id: z.string(), ...proposalFields, reason: z.string() }),
  statement: z.object({
    domain: z.literal('strongroom/adjustment-signature/v1'),
    act: z.enum(['propose', 'approve']),
    adjustment: z.string(),
    rosterHash: z.string(),
    approver: z.string(),
    notAfter: z.number().int(),
  }),
  challenge: z.string().describe('base64url of SHA-256 over the canonical JSON of the statement'),
  relyingPartyId: z.string(),
  credentialIds: z.array(z.string()),
});

/** Read-only views become the mutable shapes the serializer's types ask for; nothing is changed. */
const wire = (each: AdjustmentView) => structuredClone(each) as z.input<typeof view>;
const wireRequest = (each: AdjustmentRequest) => structuredClone(each) as z.input<typeof requestView>;

export function adjustmentRoutes(
  operations: AdjustmentOperations,
  authenticate: Authenticate,
): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.route({
      method: 'GET',
      url: '/v1/adjustments',
      schema: {
        operationId: 'adjustments',
        summary: 'Proposed corrections of the ledger, newest first; `open` for those not booked',
        querystring: z.strictObject({ open: z.enum(['true', 'false']).default('false') }),
        response: { 200: z.object({ adjustments: z.array(view) }), ...s.problems },
      },
      handler: async (request) => {
        requireRole(authenticate(request), readers);
        const found = await operations.list({ open: request.query.open === 'true' });
        return { adjustments: found.map(wire) };
      },
    });

    app.route({
      method: 'POST',
      url: '/v1/adjustments/proposal-request',
      schema: {
        operationId: 'adjustmentProposalRequest',
        summary: 'What a person signs to propose a correction',
        body: proposal,
        response: { 200: requestView, ...s.problems },
      },
      handler: async (request) => {
        requireRole(authenticate(request), workers);
        return wireRequest(await operations.proposalRequest(request.body));
      },
    });

    app.route({
      method: 'POST',
      url: '/v1/adjustments',
      schema: {
        operationId: 'proposeAdjustment',
        summary: 'Propose a correction; its id is the hash of its content, so the same again is the same',
        body: z.strictObject({ ...proposalFields, ...signed }),
        response: { 200: view, ...s.problems },
      },
      handler: async (request) => {
        requireRole(authenticate(request), workers);
        return wire(await operations.propose(request.body));
      },
    });

    app.route({
      method: 'GET',
      url: '/v1/adjustments/:adjustmentId',
      schema: {
        operationId: 'adjustment',
        summary: 'One correction: its legs, reason and people',
        params,
        response: { 200: view, ...s.problems },
      },
      handler: async (request) => {
        requireRole(authenticate(request), readers);
        return wire(await operations.read(adjustmentId.parse(request.params.adjustmentId)));
      },
    });

    app.route({
      method: 'POST',
      url: '/v1/adjustments/:adjustmentId/approval-request',
      schema: {
        operationId: 'adjustmentApprovalRequest',
        summary: 'What another person signs to approve a correction',
        params,
        body: z.strictObject({ approver: person }),
        response: { 200: requestView, ...s.problems },
      },
      handler: async (request) => {
        requireRole(authenticate(request), workers);
        const id = adjustmentId.parse(request.params.adjustmentId);
        return wireRequest(await operations.approvalRequest({ id, ...request.body }));
      },
    });

    app.route({
      method: 'POST',
      url: '/v1/adjustments/:adjustmentId/approvals',
      schema: {
        operationId: 'approveAdjustment',
        summary: 'Another person’s signature, which books the correction; safe to repeat',
        params,
        body: z.strictObject({ approver: person, ...signed }),
        response: { 200: view, ...s.problems },
      },
      handler: async (request) => {
        requireRole(authenticate(request), workers);
        const id = adjustmentId.parse(request.params.adjustmentId);
        return wire(await operations.approve({ id, ...request.body }));
      },
    });

    app.route({
      method: 'POST',
      url: '/v1/adjustments/:adjustmentId/booking',
      schema: {
        operationId: 'bookAdjustment',
        summary: 'Try again to book an approved correction, after what refused it is mended',
        params,
        response: { 200: view, ...s.problems },
      },
      handler: async (request) => {
        requireRole(authenticate(request), workers);
        return wire(await operations.book(adjustmentId.parse(request.params.adjustmentId)));
      },
    });
    done();
  };
}
