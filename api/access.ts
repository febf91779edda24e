/**
 * Who sends a request: found out once, before a route is asked. A token is looked at before the body is read; a signature, which
 * covers the body, right after it and before anything of it is parsed.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { errorsOf, invariant, isStrongroomError, type StrongroomError } from '#core/errors';
import type { Authenticate, Caller } from './auth.ts';
import { apiErrors } from './contract.ts';
import { createLimits, type UpgradeLimits } from './limits.ts';
import { callerOfToken, type TradingAuth, type TradingCaller } from './trading-auth.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The route takes signed requests too. */
    readonly signable?: boolean;
    /** Whoever reaches the port may ask; `unlimited`: as often as they like. Everything else is for callers that are known. */
    readonly open?: 'limited' | 'unlimited';
  }
  interface FastifyInstance {
    /** For what asks this server to be upgraded: a stranger of an address here is one there. */
    readonly upgradeLimits: UpgradeLimits;
  }
}
const fail = errorsOf(apiErrors);
/** Of what exists and what does not a stranger learns nothing here. */
const hiddenPath = '/v1/';
const noBody = new Uint8Array();

export interface Access {
  /** Of the token the request came with. */
  readonly authenticate: Authenticate;
  /** On a route that is `signable`: of the token or the key. */
  readonly caller: (request: FastifyRequest) => TradingCaller;
}

/** By the route that was found, never by the path: one route has many (`/%76%31/orders`, `http://any/v1/orders`). */
function opennessOf(request: FastifyRequest): 'limited' | 'unlimited' | undefined {
  if (!request.is404) return request.routeOptions.config.open;
  return request.url.startsWith(hiddenPath) ? undefined : 'limited';
}

export async function addAccess(
  app: FastifyInstance,
  options: {
    readonly authenticate: Authenticate;
    readonly auth: TradingAuth;
    readonly trustedProxies?: readonly string[];
  },
): Promise<Access> {
  const { auth } = options;
  const limits = await createLimits(app, options.trustedProxies ?? []);
  app.decorate('upgradeLimits', limits.upgrades);
  const byToken = new WeakMap<object, Caller>();
  const byRequest = new WeakMap<FastifyRequest, TradingCaller>();
  const signed = new WeakSet<FastifyRequest>();
  const bodies = new WeakMap<FastifyRequest, Buffer>();
  const parseJson = app.getDefaultJsonParser('error', 'error');

  const isStranger = ({ kind }: StrongroomError): boolean => kind === 'unauthenticated';
  /** Whoever fails counts as a stranger of its address. */
  async function counted<T>(
    request: FastifyRequest,
    reply: FastifyReply,
    find: () => T | Promise<T>,
  ): Promise<T> {
    try {
      return await find();
    } catch (error) {
      if (isStrongroomError(error) && isStranger(error)) await limits.countStranger(request, reply);
      throw error;
    }
  }
  function isSigned(request: FastifyRequest): boolean {
    if (!auth.isSigned(request.headers)) return false;
    if (request.routeOptions.config.signable !== true)
      throw fail(
        'API_UNAUTHENTICATED',
        'signed requests are for routes of trading, which this method and path are not; others take a bearer token',
      );
    return true;
  }

  app.addHook('onRequest', async (request, reply) => {
    const open = opennessOf(request);
    if (open !== undefined) {
      if (open === 'limited') await limits.countStranger(request, reply);
      return;
    }
    if (await counted(request, reply, () => isSigned(request))) {
      await limits.strangerMayAsk(request, reply);
      signed.add(request);
      return;
    }
    const found = await counted(request, reply, () => options.authenticate(request));
    const caller = callerOfToken(found);
    await limits.countCaller(request, reply, caller);
    byToken.set(request, found);
    byRequest.set(request, caller);
  });
  // Bytes first, because they are what was signed.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body: Buffer, done) => {
    if (signed.has(request)) {
      bodies.set(request, body);
      done(null);
    } else void parseJson(request, body.toString('utf8'), done);
  });
  app.addHook('preValidation', async (request, reply) => {
    if (!signed.has(request)) return;
    const { method = '', url = '' } = request.raw;
    const body = bodies.get(request);
    const check = async () =>
      await auth.caller({ method, url, headers: request.headers, rawBody: body ?? noBody });
    const caller = await limits.inTurn(request, reply, check, isStranger);
    await limits.countCaller(request, reply, caller);
    byRequest.set(request, caller);
    if (body !== undefined) request.body = await parsed(request, body);
  });
  const parsed = (request: FastifyRequest, body: Buffer) =>
    new Promise<unknown>((resolve, reject) => {
      void parseJson(request, body.toString('utf8'), (error, value: unknown) => {
        if (error === null) resolve(value);
        else reject(error);
      });
    });

  return {
    authenticate: (request) => {
      const caller = byToken.get(request);
      if (caller === undefined) throw fail('API_UNAUTHENTICATED', 'this takes a bearer token');
      return caller;
    },
    caller: (request) => {
      const caller = byRequest.get(request);
      invariant(caller !== undefined, 'a route of trading was reached by nobody that is known');
      return caller;
    },
  };
}
