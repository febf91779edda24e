/**
 * How many requests are taken: of a caller, by what its key or role may send, and of an address as long as nobody is known behind
 * it. Each process counts for itself, in windows of a second.
 */
import type { IncomingMessage } from 'node:http';
import proxyAddr from '@fastify/proxy-addr';
import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { errorsOf } from '#core/errors';
import { apiErrors } from './contract.ts';
import type { TradingCaller } from './trading-auth.ts';

const fail = errorsOf(apiErrors);
const windowMs = 1_000;
/**
 * Requests of one address that turn out to be nobody's, and those that need not say whose they are. A signature costs 0.1 ms to
 * check: 50 of them half a percent of a core. IPv6 addresses count by their /64.
 */
const strangersPerSecond = 50;
/** Addresses, and callers, that are counted at a time; the one seen longest ago goes first. About 200 bytes each. */
const countedMax = 5_000;

type Sender = Pick<TradingCaller, 'name' | 'requestsPerSecond'>;
export interface Limits {
  /** @throws API_RATE_LIMITED when the address was a stranger's too often; counts nothing */
  readonly strangerMayAsk: (request: FastifyRequest, reply: FastifyReply) => Promise<void>;
  /** @throws API_RATE_LIMITED */
  readonly countStranger: (request: FastifyRequest, reply: FastifyReply) => Promise<void>;
  /** @throws API_RATE_LIMITED */
  readonly countCaller: (request: FastifyRequest, reply: FastifyReply, sender: Sender) => Promise<void>;
}

/** The same counts, for what asks to be upgraded: it reaches no route. */
export interface UpgradeLimits {
  /** @throws as `strangerMayAsk` */
  readonly mayAsk: (request: IncomingMessage) => Promise<void>;
  /** @throws as `countStranger` */
  readonly countStranger: (request: IncomingMessage) => Promise<void>;
}

interface Count {
  readonly max: number;
  readonly remaining: number;
  readonly ttlInSeconds: number;
  readonly isExceeded: boolean;
}

/** Headers of draft-ietf-httpapi-ratelimit-headers-07 and RFC 9110; seconds. */
function tell(reply: FastifyReply, count: Count): void {
  void reply.headers({
    'ratelimit-limit': count.max,
    'ratelimit-remaining': count.remaining,
    'ratelimit-reset': count.ttlInSeconds,
  });
}
function refuse(reply: FastifyReply, count: Count, whose: string) {
  void reply.header('retry-after', count.ttlInSeconds);
  return limited(count, whose);
}
function limited({ max }: Count, whose: string) {
  return fail('API_RATE_LIMITED', `${whose}: more than ${max} requests in a second`, { perSecond: max });
}

export async function createLimits(
  app: FastifyInstance,
  trustedProxies: readonly string[],
): Promise<Limits & { readonly upgrades: UpgradeLimits }> {
  await app.register(rateLimit, { global: false });
  const senders = new WeakMap<FastifyRequest, Sender>();
  const ofAddress = app.createRateLimit({
    max: strangersPerSecond,
    timeWindow: windowMs,
    ...{ cache: countedMax },
  });
  const ofCaller = app.createRateLimit({
    max: (request) => senders.get(request)?.requestsPerSecond ?? 0,
    timeWindow: windowMs,
    keyGenerator: (request) => senders.get(request)?.name ?? '',
    ...{ cache: countedMax },
  });
  const isTrusted = proxyAddr.compile([...trustedProxies]);
  /** All that `ofAddress` reads of a request; the address as Fastify finds it. */
  const askerOf = (request: IncomingMessage): FastifyRequest =>
    ({ ip: proxyAddr(request, isTrusted), routeOptions: { config: {} } }) as FastifyRequest;
  return {
    upgrades: {
      mayAsk: async (request) => {
        const asker = askerOf(request);
        const count = await ofAddress(asker, { increment: false });
        if (!count.isAllowed && count.remaining === 0) throw limited(count, asker.ip);
      },
      countStranger: async (request) => {
        const asker = askerOf(request);
        const count = await ofAddress(asker);
        if (!count.isAllowed && count.isExceeded) throw limited(count, asker.ip);
      },
    },
    strangerMayAsk: async (request, reply) => {
      const count = await ofAddress(request, { increment: false });
      if (count.isAllowed || count.remaining > 0) return;
      tell(reply, count);
      throw refuse(reply, count, request.ip);
    },
    countStranger: async (request, reply) => {
      const count = await ofAddress(request);
      if (count.isAllowed) return;
      tell(reply, count);
      if (count.isExceeded) throw refuse(reply, count, request.ip);
    },
    countCaller: async (request, reply, sender) => {
      senders.set(request, sender);
      const count = await ofCaller(request);
      if (count.isAllowed) return;
      tell(reply, count);
      if (count.isExceeded) throw refuse(reply, count, sender.name);
    },
  };
}
