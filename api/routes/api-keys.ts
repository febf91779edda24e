/** API keys of the trading API: registered by the exchange's own backend, revoked by it or by operators. */
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { type Id, parseId } from '#core/ids';
import { tradingLimits } from '#matching/trading/contract';
import type { Access } from '../access.ts';
import { requireRole } from '../auth.ts';
import { apiRoles } from '../config.ts';
import { type ApiKey, apiKeyLimits, apiPermissions, rateTierNames, rateTiers } from '../keys/contract.ts';
import type { ApiKeys } from '../keys/store.ts';
import { present } from '../present.ts';
import * as s from './schemas.ts';

const keyId = s.idOf('key').describe('made by the caller; the idempotency key');
const params = z.object({ keyId });
const fields = {
  name: s.textOf(apiKeyLimits.nameCharacters).describe('for people'),
  publicKey: z
    .string()
    .regex(/^[A-Za-z0-9_-]{43}$/, '32 bytes in base64url, without padding')
    .describe('Ed25519 (RFC 8032): 32 bytes in base64url'),
  accountIds: z
    .array(s.accountId)
    .min(1)
    .max(apiKeyLimits.accountsOfKey)
    .describe('the accounts it may act for'),
  permissions: z
    .array(z.enum(apiPermissions))
    .min(1)
    .max(apiPermissions.length)
    .describe('read: look; trade: place, amend, cancel; transfer: between main and spot account'),
  rateTier: z
    .enum(rateTierNames)
    .describe(`requests per second: ${rateTierNames.map((tier) => `${tier} ${rateTiers[tier]}`).join(', ')}`),
};
const view = z.object({
  id: keyId,
  ...fields,
  createdAt: z.number().int().describe('milliseconds since 1970'),
  createdBy: z.string().describe('name of the token'),
  revoked: z.object({ at: z.number().int(), by: z.string() }).nullable(),
});

const viewOf = (key: ApiKey): z.input<typeof view> => ({
  id: key.id,
  name: key.name,
  publicKey: Buffer.from(key.publicKey).toString('base64url'),
  accountIds: [...key.accounts],
  permissions: [...key.permissions],
  rateTier: key.rateTier,
  createdAt: key.createdAtMs,
  createdBy: key.createdBy,
  revoked: key.revoked === null ? null : { at: key.revoked.atMs, by: key.revoked.by },
});

export function apiKeyRoutes(keys: ApiKeys, { authenticate }: Access): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.route({
      method: 'PUT',
      url: '/v1/api-keys/:keyId',
      schema: {
        operationId: 'registerApiKey',
        summary: 'Register the public half of a key; safe to repeat with the same id. A key is never changed',
        params,
        body: z.strictObject({ ...fields, rateTier: fields.rateTier.default('standard') }),
        response: { 200: view, ...s.problems },
      },
      handler: async (request) => {
        const caller = authenticate(request);
        requireRole(caller, ['trading']);
        const { name, publicKey, accountIds, permissions, rateTier } = request.body;
        const key = await keys.register(
          {
            id: parseId('key', request.params.keyId),
            name,
            publicKey: Buffer.from(publicKey, 'base64url'),
            accounts: accountIds.map((id): Id<'acc'> => parseId('acc', id)),
            permissions,
            rateTier,
          },
          caller.name,
        );
        return viewOf(key);
      },
    });

    app.route({
      method: 'GET',
      url: '/v1/api-keys',
      schema: {
        operationId: 'apiKeys',
        summary: 'List keys by id, revoked ones too; `after` is the last id of the page before',
        querystring: z.strictObject({
          accountId: s.accountId.optional(),
          after: keyId.optional(),
          limit: z.coerce.number().int().min(1).max(tradingLimits.pageRows).default(100),
        }),
        response: { 200: z.object({ keys: z.array(view) }), ...s.problems },
      },
      handler: async (request) => {
        requireRole(authenticate(request), apiRoles);
        const { accountId, after, limit } = request.query;
        const found = await keys.list(
          present({
            accountId: accountId === undefined ? undefined : parseId('acc', accountId),
            after: after === undefined ? undefined : parseId('key', after),
            limit,
          }),
        );
        return { keys: found.map(viewOf) };
      },
    });

    app.route({
      method: 'DELETE',
      url: '/v1/api-keys/:keyId',
      schema: {
        operationId: 'revokeApiKey',
        summary: 'Revoke a key: at once in this process, within a second in all; safe to repeat',
        params,
        response: { 200: view, ...s.problems },
      },
      handler: async (request) => {
        const caller = authenticate(request);
        requireRole(caller, ['trading', 'treasury', 'compliance']);
        return viewOf(await keys.revoke(parseId('key', request.params.keyId), caller.name));
      },
    });
    done();
  };
}
