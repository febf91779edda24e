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
import type { TradingOperations } from '#matching/trading/contract';
import type { TreasuryOperations } from '#workflows';
import type { Operations } from '#workflows/contract';
import { type Access, addAccess } from './access.ts';
import type { Authenticate } from './auth.ts';
import { createHealth, type Probes } from './health.ts';
import { requestWindowMs } from './keys/seen-requests.ts';
import type { ApiKeys } from './keys/store.ts';
import { answerNotHttp } from './not-http.ts';
import { answerError, answerRouterError, answerUnknownRoute } from './problem.ts';
import { accountRoutes } from './routes/accounts.ts';
import { adjustmentRoutes } from './routes/adjustments.ts';
import { apiKeyRoutes } from './routes/api-keys.ts';
import { type AssetView, assetRoutes } from './routes/assets.ts';
import { caseRoutes } from './routes/cases.ts';
import { marketRoutes } from './routes/markets.ts';
import { orderEntryRoutes, orderViewRoutes } from './routes/orders.ts';
import { spotRoutes } from './routes/spot.ts';
import { tradingAccess } from './routes/trading.ts';
import { tradingControlRoutes } from './routes/trading-control.ts';
import { treasuryRoutes } from './routes/treasury.ts';
import { withdrawalRoutes } from './routes/withdrawals.ts';
import { signedHeaders } from './signed-request.ts';
import type { TradingAuth } from './trading-auth.ts';

/** The largest honest body is a batch of 50 orders of 500 bytes. */
const bodyBytesMax = 64 * 1024;
const requestTimeoutMs = 30_000;

export interface ServerOptions {
  readonly operations: Operations & TreasuryOperations;
  readonly authenticate: Authenticate;
  readonly keys: ApiKeys;
  readonly auth: TradingAuth;
  /** Undefined: no engine is configured, and the routes of trading say so. */
  readonly trading: TradingOperations | undefined;
  /** What the configured chains carry, and what lives on our books only; decimals are for display only. */
  readonly assets: readonly AssetView[];
  readonly logger?: FastifyBaseLogger;
  /** What /health reports beside the process itself: the name of a part and a probe that throws when it is down. */
  readonly probes: Probes;
  /** Addresses of proxies whose `x-forwarded-for` is believed: whose address is limited depends on it. */
  readonly trustedProxies?: readonly string[];
}

const signedPart = (name: string, description: string) =>
  ({ type: 'apiKey', in: 'header', name, description }) as const;
const securitySchemes = {
  bearer: { type: 'http', scheme: 'bearer' },
  signatureKey: signedPart(signedHeaders.key, 'Id of the registered key: key_<uuid>.'),
  signatureTimestamp: signedPart(
    signedHeaders.timestamp,
    `Milliseconds since 1970, at most ${requestWindowMs} from the server's clock. Two requests that are otherwise the same need different ones.`,
  ),
  signature: signedPart(
    signedHeaders.signature,
    'Ed25519 in base64url, without padding, over the UTF-8 text "strongroom/request/v1\\n<timestamp>\\n<METHOD>\\n<path with query>\\n<SHA-256 of the body in lower hex>". Each is good once.',
  ),
} as const;

export async function buildServer(options: ServerOptions): Promise<FastifyInstance> {
  const app = Fastify({
    bodyLimit: bodyBytesMax,
    requestTimeout: requestTimeoutMs,
    // What the router itself refuses: a path that is not encoded right, or with too long a part.
    frameworkErrors: answerRouterError,
    clientErrorHandler: answerNotHttp,
    trustProxy: [...(options.trustedProxies ?? [])],
    ...(options.logger === undefined ? {} : { loggerInstance: options.logger }),
  }).withTypeProvider<ZodTypeProvider>();
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.setErrorHandler(answerError);
  app.setNotFoundHandler(answerUnknownRoute);
  // Before a body is read: a stranger learns nothing of the routes and costs nothing. Roles are checked by each route.
  const access = await addAccess(app, options);
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Strongroom API', version: '0.1.0', license: { name: 'Apache-2.0' } },
      components: { securitySchemes },
      security: [{ bearer: [] }],
    },
    transform: jsonSchemaTransform,
  });
  const health = createHealth(options.probes, app.log);
  app.get(
    '/health',
    {
      // Asked by whatever watches the process.
      config: { open: 'unlimited' },
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
      const parts = await health();
      const ok = Object.values(parts).every((state) => state === 'ok');
      return ok ? await reply.send({ ok: true, parts }) : await reply.status(503).send({ ok: false, parts });
    },
  );
  let description: string | undefined;
  app.get(
    '/openapi.json',
    { config: { open: 'limited' }, schema: { hide: true } },
    async (_request, reply) => {
      // Made once: it is the most expensive answer there is, and anyone may ask for it.
      description ??= JSON.stringify(app.swagger());
      return await reply.type('application/json').send(description);
    },
  );
  await registerRoutes(app, options, access);
  await app.ready();
  return app;
}

async function registerRoutes(app: FastifyInstance, options: ServerOptions, access: Access): Promise<void> {
  const { operations, keys } = options;
  const { authenticate } = access;
  await app.register(assetRoutes(options.assets, access));
  await app.register(accountRoutes(operations, authenticate));
  await app.register(withdrawalRoutes(operations, authenticate));
  await app.register(adjustmentRoutes(operations.adjustments, authenticate));
  await app.register(treasuryRoutes(operations, authenticate));
  await app.register(caseRoutes(operations, authenticate));
  await app.register(apiKeyRoutes(keys, access));
  const trading = tradingAccess(access, options.trading);
  await app.register(marketRoutes(trading));
  await app.register(orderEntryRoutes(trading));
  await app.register(orderViewRoutes(trading));
  await app.register(spotRoutes(trading));
  await app.register(tradingControlRoutes(trading, access));
}
