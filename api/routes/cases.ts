/** Cases and halts: who works on what, how it ended, and two people for lifting a halt; and what reconciliation found. */
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { CaseRecord, IncidentCase } from '#infra/cases';
import { assertionSchema } from '#policies/contract';
import type { TreasuryOperations } from '#workflows';
import { type Authenticate, requireRole } from '../auth.ts';
import * as s from './schemas.ts';

const readers = ['treasury', 'compliance', 'auditor'] as const;
/** The auditor only looks. */
const workers = ['treasury', 'compliance'] as const;

const atMs = z.number().int().describe('milliseconds since 1970');
const person = z.string().min(1).max(64).describe('id of a person of the roster');
const text = s.textOf(2000);
const caseParams = z.object({
  caseId: z.string().regex(/^case_[0-9a-z_-]{1,64}$/, 'case_ followed by a UUID'),
});
const haltParams = z.object({
  scope: z.string().regex(/^[-a-zA-Z0-9:_]{1,100}$/, 'ledger, chain:<id> or wallet:<id>'),
});

const caseView = z.object({
  id: z.string(),
  kind: z.string(),
  subject: z.string(),
  details: z.unknown(),
  openedAt: atMs,
  ageMs: z.number().int(),
  owner: z.string().nullable().describe('the person who works on it'),
});
const caseRecordView = caseView.extend({
  closed: z.object({ at: atMs, by: z.string(), resolution: z.string() }).nullable(),
  history: z.array(z.object({ at: atMs, event: z.string(), actor: z.string(), note: z.string() })),
});
const haltView = z.object({
  scope: z.string().describe('ledger, chain:<chain id> or wallet:<wallet id>'),
  reason: z.string(),
  setAt: atMs,
});
const signed = z.string().describe('signed, base units or a count');
const reconciliationView = z.object({
  chain: z.string(),
  runs: z
    .array(
      z.object({
        at: atMs,
        notJudged: z.string().nullable().describe('why it could say nothing'),
        booksHeight: z.number().int().nullable().describe('the final block the books speak of'),
        height: z.number().int().nullable().describe('the final block the node was asked at'),
        breaks: z.number().int(),
      }),
    )
    .describe('newest first'),
  lines: z
    .array(
      z.object({
        check: z.string(),
        subject: z.string(),
        unit: z.string(),
        walletId: z.string().nullable(),
        booked: signed,
        observed: signed,
        unposted: signed,
        difference: signed,
      }),
    )
    .describe('of the newest run that was judged'),
  breaks: z
    .array(
      z.object({
        check: z.string(),
        subject: z.string(),
        unit: z.string(),
        walletId: z.string().nullable(),
        difference: signed,
        atStake: signed,
        problem: z.string(),
        runs: z.number().int().describe('runs in a row that found it'),
        firstAt: atMs,
        caseId: z.string().nullable(),
      }),
    )
    .describe('those that stand, oldest first'),
});
const statementView = z.object({
  domain: z.literal('strongroom/halt-lift/v1'),
  scope: z.string(),
  setAt: atMs,
  haltReason: z.string(),
  rosterHash: z.string(),
  reason: z.string(),
  approver: z.string(),
  notAfter: atMs,
});
const liftAsk = z.strictObject({ approver: person, reason: s.textOf(200) });

const viewOf = (each: IncidentCase) => ({ ...each, openedAt: each.openedAt.getTime() });
const recordOf = (record: CaseRecord) => ({
  ...viewOf(record),
  closed: record.closed === null ? null : { ...record.closed, at: record.closed.at.getTime() },
  history: record.history.map((event) => ({ ...event, at: event.at.getTime() })),
});

export function caseRoutes(
  operations: TreasuryOperations,
  authenticate: Authenticate,
): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.route({
      method: 'GET',
      url: '/v1/cases',
      schema: {
        operationId: 'cases',
        summary: 'Open cases, which a person must decide, and halts, under which a part stands still',
        response: { 200: z.object({ cases: z.array(caseView), halts: z.array(haltView) }), ...s.problems },
      },
      handler: async (request) => {
        requireRole(authenticate(request), readers);
        const { cases, halts } = await operations.incidents();
        return {
          cases: cases.map(viewOf),
          halts: halts.map((each) => ({ ...each, setAt: each.setAt.getTime() })),
        };
      },
    });

    app.route({
      method: 'GET',
      url: '/v1/cases/:caseId',
      schema: {
        operationId: 'caseRecord',
        summary: 'One case, open or closed, with its history',
        params: caseParams,
        response: { 200: caseRecordView, ...s.problems },
      },
      handler: async (request) => {
        requireRole(authenticate(request), readers);
        return recordOf(await operations.caseRecord(request.params.caseId));
      },
    });

    app.route({
      method: 'POST',
      url: '/v1/cases/:caseId/actions',
      schema: {
        operationId: 'workOnCase',
        summary: 'Give an open case to a person, add a note, or close it with what was decided',
        params: caseParams,
        body: z.discriminatedUnion('action', [
          z.strictObject({ action: z.literal('assign'), owner: person }),
          z.strictObject({ action: z.literal('note'), note: text }),
          z.strictObject({ action: z.literal('close'), resolution: text }),
        ]),
        response: { 200: caseRecordView, ...s.problems },
      },
      handler: async (request) => {
        const caller = authenticate(request);
        requireRole(caller, workers);
        const { caseId: id } = request.params;
        return recordOf(await operations.workOnCase({ id, by: caller.name, ...request.body }));
      },
    });

    app.route({
      method: 'POST',
      url: '/v1/halts/:scope/lift-request',
      schema: {
        operationId: 'haltLiftRequest',
        summary: 'What a person signs to lift a halt; it takes two different people of the roster',
        params: haltParams,
        body: liftAsk,
        response: {
          200: z.object({
            statement: statementView,
            challenge: z.string().describe('base64url of SHA-256 over the canonical JSON of the statement'),
            relyingPartyId: z.string(),
            credentialIds: z.array(z.string()),
          }),
          ...s.problems,
        },
      },
      handler: async (request) => {
        requireRole(authenticate(request), workers);
        const asked = await operations.haltLiftRequest({ ...request.params, ...request.body });
        return { ...asked, credentialIds: [...asked.credentialIds] };
      },
    });

    app.route({
      method: 'POST',
      url: '/v1/halts/:scope/lifts',
      schema: {
        operationId: 'liftHalt',
        summary: 'One person’s signature for lifting a halt; the second person’s lifts it',
        params: haltParams,
        body: liftAsk.extend({ notAfter: z.number().int(), assertion: assertionSchema }),
        response: {
          200: z.object({
            scope: z.string(),
            lifted: z.boolean(),
            people: z.array(z.string()),
            missing: z.number().int(),
          }),
          ...s.problems,
        },
      },
      handler: async (request) => {
        requireRole(authenticate(request), workers);
        const outcome = await operations.submitHaltLift({ ...request.params, ...request.body });
        return { ...outcome, people: [...outcome.people] };
      },
    });

    app.route({
      method: 'GET',
      url: '/v1/reconciliation',
      schema: {
        operationId: 'reconciliation',
        summary:
          'Books, chain and signatures compared: the last runs of each chain and the breaks that stand',
        response: { 200: z.object({ chains: z.array(reconciliationView) }), ...s.problems },
      },
      handler: async (request) => {
        requireRole(authenticate(request), readers);
        const states = await operations.reconciliation();
        return {
          chains: states.map((state) => ({
            ...state,
            runs: [...state.runs],
            lines: [...state.lines],
            breaks: [...state.breaks],
          })),
        };
      },
    });
    done();
  };
}
