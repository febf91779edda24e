/**
 * How many requests are taken: of a caller, by what its key or role may send, and of an address as long as nobody is known behind
 * it. Each process counts for itself, in windows of a second.
 */
import type { IncomingMessage } from 'node:http';
import proxyAddr from '@fastify/proxy-addr';
import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { errorsOf, invariant, isStrongroomError, type StrongroomError } from '#core/errors';
import { apiErrors } from './contract.ts';
import type { TradingCaller } from './trading-auth.ts';
import { type Allowance, type Turn, Turns, waitingMax } from './turns.ts';

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
  /**
   * Checks a signature in its turn, and counts it when it is a stranger's.
   * @throws API_RATE_LIMITED, and what `check` throws
   */
  readonly inTurn: <T>(
    request: FastifyRequest,
    reply: FastifyReply,
    check: () => Promise<T>,
    isStranger: IsStranger,
  ) => Promise<T>;
  /** @throws API_RATE_LIMITED */
  readonly countCaller: (request: FastifyRequest, reply: FastifyReply, sender: Sender) => Promise<void>;
}

/** The same counts, for what asks to be upgraded: it reaches no route. */
export interface UpgradeLimits {
  /** @throws as `countStranger` */
  readonly countStranger: (request: IncomingMessage) => Promise<void>;
  /** @throws as `inTurn` */
  readonly inTurn: <T>(
    request: IncomingMessage,
    check: () => Promise<T>,
    isStranger: IsStranger,
  ) => Promise<T>;
}
type IsStranger = (error: StrongroomError) => boolean;
type Count = Omit<Allowance, 'key'>;

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
function crowded(whose: string) {
  return fail('API_RATE_LIMITED', `${whose}: more than ${waitingMax} signed requests wait to be checked`);
}

/** @param count of a failure, before the turn ends: the next one is let in by what is left then */
async function checkInTurn<T>(
  turn: Extract<Turn, { readonly leave: unknown }>,
  check: () => Promise<T>,
  isStranger: IsStranger,
  count: () => Promise<void>,
): Promise<T> {
  try {
    return await check();
  } catch (error) {
    if (isStrongroomError(error) && isStranger(error)) await count();
    throw error;
  } finally {
    turn.leave();
  }
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
  const turns = new Turns(async (request: FastifyRequest) => {
    const count = await ofAddress(request, { increment: false });
    // There are no addresses that are always allowed.
    invariant(!count.isAllowed, 'every address is counted');
    return count;
  });
  const countUpgrade = async (request: IncomingMessage): Promise<void> => {
    const asker = askerOf(request);
    const count = await ofAddress(asker);
    if (!count.isAllowed && count.isExceeded) throw limited(count, asker.ip);
  };
  const countStranger = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const count = await ofAddress(request);
    if (count.isAllowed) return;
    tell(reply, count);
    if (count.isExceeded) throw refuse(reply, count, request.ip);
  };
  return {
    upgrades: {
      countStranger: countUpgrade,
      inTurn: async (request, check, isStranger) => {
        const asker = askerOf(request);
        const turn = await turns.enter(asker);
        if ('refusedBy' in turn) throw turn.isCrowded ? crowded(asker.ip) : limited(turn.refusedBy, asker.ip);
        return await checkInTurn(turn, check, isStranger, async () => await countUpgrade(request));
      },
    },
    strangerMayAsk: async (request, reply) => {
      const count = await ofAddress(request, { increment: false });
      if (count.isAllowed || count.remaining > 0) return;
      tell(reply, count);
      throw refuse(reply, count, request.ip);
    },
    countStranger,
    inTurn: async (request, reply, check, isStranger) => {
      const turn = await turns.enter(request);
      if ('refusedBy' in turn) {
        if (turn.isCrowded) throw crowded(request.ip);
        tell(reply, turn.refusedBy);
        throw refuse(reply, turn.refusedBy, request.ip);
      }
      return await checkInTurn(turn, check, isStranger, async () => await countStranger(request, reply));
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
