/** What treasury sees of the wallets: inflows from outside, sweeps, and the books' half of the proof line. */
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { TreasuryOperations } from '#workflows';
import { type Authenticate, requireRole } from '../auth.ts';
import * as s from './schemas.ts';

const readers = ['treasury', 'compliance', 'auditor'] as const;
const walletId = z.string().regex(/^wal_[0-9a-f-]{36}$/, 'wal_ followed by a UUID');
const params = z.object({ walletId });
const signedUnits = z.string().describe('base units, may be negative');

const inflowView = z.object({
  chain: z.string(),
  txId: z.string(),
  index: z.number().int(),
  walletId: z.string(),
  asset: s.asset,
  units: s.units,
  state: z.enum(['SEEN', 'FINAL', 'ORPHANED', 'ORPHANED_AFTER_FINAL']),
  declared: z.boolean(),
});
const sweepView = z.object({
  id: z.string(),
  address: s.address,
  units: s.units,
  state: z.string(),
  txId: z.string().nullable(),
  feeUnits: s.units.nullable(),
});
const booksView = z.object({
  chain: z.string().nullable().describe('null: the asset lives on our books only'),
  asset: s.asset,
  height: z.number().int().nullable().describe('everything up to this block is booked, and nothing above it'),
  customers: signedUnits,
  house: signedUnits,
  suspense: signedUnits,
});

export function treasuryRoutes(
  operations: TreasuryOperations,
  authenticate: Authenticate,
): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.route({
      method: 'GET',
      url: '/v1/wallets/:walletId/inflows',
      schema: {
        operationId: 'inflows',
        summary: 'Value that came to the hot address from outside; booked to suspense until it is declared',
        params,
        response: { 200: z.object({ inflows: z.array(inflowView) }), ...s.problems },
      },
      handler: async (request) => {
        requireRole(authenticate(request), readers);
        return { inflows: [...(await operations.inflows(request.params.walletId))] };
      },
    });

    app.route({
      method: 'POST',
      url: '/v1/house-float',
      schema: {
        operationId: 'declareHouseFloat',
        summary: 'Declare a final inflow to be the house’s own money: suspense to equity; safe to repeat',
        body: z.strictObject({
          chain: z.string().max(48),
          txId: z.string().max(128),
          index: z.number().int().min(0),
        }),
        response: { 200: z.object({ declared: z.literal(true) }), ...s.problems },
      },
      handler: async (request) => {
        requireRole(authenticate(request), ['treasury']);
        await operations.declareHouseFloat(request.body);
        return { declared: true as const };
      },
    });

    app.route({
      method: 'GET',
      url: '/v1/wallets/:walletId/sweeps',
      schema: {
        operationId: 'sweeps',
        summary: 'Sweeps of deposit addresses to the hot address, newest first',
        params,
        response: { 200: z.object({ sweeps: z.array(sweepView) }), ...s.problems },
      },
      handler: async (request) => {
        requireRole(authenticate(request), readers);
        return { sweeps: [...(await operations.sweeps(request.params.walletId))] };
      },
    });

    app.route({
      method: 'GET',
      url: '/v1/books',
      schema: {
        operationId: 'booksAtCursor',
        summary: 'What the books say at the last final block: customers, house, suspense per asset',
        response: { 200: z.object({ books: z.array(booksView) }), ...s.problems },
      },
      handler: async (request) => {
        requireRole(authenticate(request), readers);
        return { books: [...(await operations.booksAtCursor())] };
      },
    });
    done();
  };
}
