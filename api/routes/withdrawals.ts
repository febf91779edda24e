/** Withdrawals: request, read, list, cancel, certificate; and the approvals people give. */
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { type Operations, pageRowsMax, type WithdrawalView, withdrawalStates } from '#workflows/contract';
import { type Authenticate, requireRole } from '../auth.ts';
import { apiRoles } from '../config.ts';
import * as s from './schemas.ts';

const approvers = ['treasury', 'compliance'] as const;
const params = z.object({ withdrawalId: s.withdrawalId });

type WireWithdrawal = z.input<typeof s.withdrawalView>;
/** Read-only views become the mutable shape the serializer's type asks for; nothing is changed. */
const wire = (view: WithdrawalView): WireWithdrawal => structuredClone(view) as WireWithdrawal;

export function withdrawalRoutes(
  operations: Operations,
  authenticate: Authenticate,
): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.route({
      method: 'PUT',
      url: '/v1/withdrawals/:withdrawalId',
      schema: {
        operationId: 'requestWithdrawal',
        summary:
          'Request a withdrawal: hold, intent and process in one transaction; safe to repeat with the same id',
        params,
        body: z.strictObject({ accountId: s.accountId, asset: s.asset, address: s.address, units: s.units }),
        response: { 200: s.withdrawalView, ...s.problems },
      },
      handler: async (request) => {
        requireRole(authenticate(request), ['trading']);
        return wire(await operations.requestWithdrawal({ id: request.params.withdrawalId, ...request.body }));
      },
    });

    app.route({
      method: 'GET',
      url: '/v1/withdrawals',
      schema: {
        operationId: 'withdrawals',
        summary: 'List withdrawals, newest first; `after` is the last id of the page before',
        querystring: z.strictObject({
          state: z.enum(withdrawalStates).optional(),
          accountId: s.accountId.optional(),
          limit: z.coerce.number().int().min(1).max(pageRowsMax).default(50),
          after: s.withdrawalId.optional(),
        }),
        response: { 200: z.object({ withdrawals: z.array(s.withdrawalView) }), ...s.problems },
      },
      handler: async (request) => {
        requireRole(authenticate(request), apiRoles);
        const { state, accountId, limit, after } = request.query;
        const rows = await operations.withdrawals({
          limit,
          ...(state === undefined ? {} : { state }),
          ...(accountId === undefined ? {} : { accountId }),
          ...(after === undefined ? {} : { after }),
        });
        return { withdrawals: rows.map(wire) };
      },
    });

    app.route({
      method: 'GET',
      url: '/v1/withdrawals/:withdrawalId',
      schema: {
        operationId: 'withdrawal',
        summary: 'State, decision, missing approvals and timeline of a withdrawal',
        params,
        response: { 200: s.withdrawalView, ...s.problems },
      },
      handler: async (request) => {
        requireRole(authenticate(request), apiRoles);
        return wire(await operations.withdrawal(request.params.withdrawalId));
      },
    });

    app.route({
      method: 'POST',
      url: '/v1/withdrawals/:withdrawalId/cancel',
      schema: {
        operationId: 'cancelWithdrawal',
        summary: 'Cancel before a batch has taken it; the hold is released',
        params,
        response: { 200: s.withdrawalView, ...s.problems },
      },
      handler: async (request) => {
        requireRole(authenticate(request), ['trading', 'treasury']);
        return wire(await operations.cancelWithdrawal(request.params.withdrawalId));
      },
    });

    app.route({
      method: 'POST',
      url: '/v1/withdrawals/:withdrawalId/approval-request',
      schema: {
        operationId: 'approvalRequest',
        summary: 'The statement an approver signs, and its WebAuthn challenge',
        params,
        body: s.approvalAsk.strict(),
        response: { 200: s.approvalRequestView, ...s.problems },
      },
      handler: async (request) => {
        requireRole(authenticate(request), approvers);
        const ask = await operations.approvalRequest({
          withdrawalId: request.params.withdrawalId,
          ...request.body,
        });
        return structuredClone(ask) as z.input<typeof s.approvalRequestView>;
      },
    });

    app.route({
      method: 'POST',
      url: '/v1/withdrawals/:withdrawalId/approvals',
      schema: {
        operationId: 'submitApproval',
        summary: 'A signed approval or rejection: a WebAuthn assertion over the statement',
        params,
        body: s.approvalBody.strict(),
        response: { 200: s.withdrawalView, ...s.problems },
      },
      handler: async (request) => {
        requireRole(authenticate(request), approvers);
        return wire(
          await operations.submitApproval({ withdrawalId: request.params.withdrawalId, ...request.body }),
        );
      },
    });

    app.route({
      method: 'GET',
      url: '/v1/withdrawals/:withdrawalId/certificate',
      schema: {
        operationId: 'certificate',
        summary: 'The self-contained proof of a final payout; check it with `strongroom certificate verify`',
        params,
        response: { 200: z.looseObject({ format: z.literal('strongroom/certificate/v1') }), ...s.problems },
      },
      handler: async (request) => {
        requireRole(authenticate(request), apiRoles);
        return { ...(await operations.certificate(request.params.withdrawalId)) };
      },
    });
    done();
  };
}
