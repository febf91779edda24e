/** Builds the HTTP gateway. It holds no business rule: every route is one call of an operation. */
import swagger from '@fastify/swagger';
import Fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify';
import {
  jsonSchemaTransform,
  serializerCompiler,
  validatorCompiler,
  type ZodTypeProvider,
} from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { TreasuryOperations } from '#workflows';
import type { Operations } from '#workflows/contract';
import type { Authenticate } from './auth.ts';
import { answerError, answerUnknownRoute } from './problem.ts';
import { accountRoutes } from './routes/accounts.ts';
import { adjustmentRoutes } from './routes/adjustments.ts';
import { type AssetView, assetRoutes } from './routes/assets.ts';
import { caseRoutes } from './routes/cases.ts';
import { treasuryRoutes } from './routes/treasury.ts';
import { withdrawalRoutes } from './routes/withdrawals.ts';

/** The largest honest body is an approval, about 2 KiB. */
const bodyBytesMax = 64 * 1024;
const requestTimeoutMs = 30_000;

export interface ServerOptions {
  readonly operations: Operations & TreasuryOperations;
  readonly authenticate: Authenticate;
  /** What the configured chains carry; decimals are for display only. */
  readonly assets: readonly AssetView[];
  readonly logger?: FastifyBaseLogger;
  /** What /health reports beside the process itself: the name of a part and a probe that throws when it is down. */
  readonly probes: Readonly<Record<string, () => Promise<void>>>;
}

export async function buildServer(options: ServerOptions): Promise<FastifyInstance> {
  const app = Fastify({
    bodyLimit: bodyBytesMax,
    requestTimeout: requestTimeoutMs,
    ...(options.logger === undefined ? {} : { loggerInstance: options.logger }),
  }).withTypeProvider<ZodTypeProvider>();
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.setErrorHandler(answerError);
  app.setNotFoundHandler(answerUnknownRoute);
  // Before a body is read: a stranger learns nothing of the routes and costs nothing. Roles are checked by each route.
  app.addHook('onRequest', (request, _reply, done) => {
    if (request.url.startsWith('/v1/')) options.authenticate(request);
    done();
  });
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Strongroom API', version: '0.1.0', license: { name: 'Apache-2.0' } },
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
      security: [{ bearer: [] }],
    },
    transform: jsonSchemaTransform,
  });
  app.get(
    '/health',
    {
      schema: {
        operationId: 'health',
        summary: 'Whether the api and what it stands on answer',
        security: [],
        response: {
          200: z.object({ ok: z.literal(true), parts: z.record(z.string(), z.string()) }),
          503: z.object({ ok: z.literal(false), parts: z.record(z.string(), z.string()) }),
        },
      },
    },
    async (_request, reply) => {
      const parts: Record<string, string> = {};
      for (const [part, probe] of Object.entries(options.probes)) {
        // The reason stays in the log: /health is open to anyone who reaches the port.
        parts[part] = await probe().then(
          () => 'ok',
          (error: unknown) => {
            app.log.warn({ err: error, part }, 'health.down');
            return 'down';
          },
        );
      }
      const ok = Object.values(parts).every((state) => state === 'ok');
      return ok ? await reply.send({ ok: true, parts }) : await reply.status(503).send({ ok: false, parts });
    },
  );
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger());
  await app.register(assetRoutes(options.assets, options.authenticate));
  await app.register(accountRoutes(options.operations, options.authenticate));
  await app.register(withdrawalRoutes(options.operations, options.authenticate));
  await app.register(adjustmentRoutes(options.operations.adjustments, options.authenticate));
  await app.register(treasuryRoutes(options.operations, options.authenticate));
  await app.register(caseRoutes(options.operations, options.authenticate));
  await app.ready();
  return app;
}
