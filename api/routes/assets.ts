/** The assets of the configured chains, and those that live on our books only. */
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Access } from '../access.ts';
import * as s from './schemas.ts';
import { security, signable } from './trading.ts';

const assetView = z.object({
  asset: s.asset,
  chain: z.string().nullable().describe('CAIP-2 chain id; null: it lives on our books only'),
  decimals: z
    .number()
    .int()
    .describe('for display, and of the numbers of trading; all else speaks base units'),
});
export type AssetView = z.output<typeof assetView>;

export function assetRoutes(assets: readonly AssetView[], { caller }: Access): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.route({
      method: 'GET',
      url: '/v1/assets',
      config: signable,
      schema: {
        operationId: 'assets',
        summary: 'The assets that can be deposited and withdrawn, and those of our books only',
        security,
        response: { 200: z.object({ assets: z.array(assetView) }), ...s.problems },
      },
      handler: (request) => {
        // Whoever is known may see them.
        caller(request);
        return { assets: [...assets] };
      },
    });
    done();
  };
}
