/** Configuration of the api process. Secrets come by file path only. */
import { z } from 'zod';
import { operationsConfigSchema, serviceKeySchema } from '#workflows';

export const apiRoles = ['trading', 'treasury', 'compliance', 'auditor'] as const;
export type ApiRole = (typeof apiRoles)[number];

const engineConnectionSchema = z.strictObject({
  /** Of the primary and its standby: whichever serves is used. */
  url: z.union([z.url(), z.array(z.url()).min(1).max(8)]),
  /** The secret it shares with the engine's process. */
  tokenFile: z.string().min(1),
  /** The engine's configuration, the same file as that of the engine's process. */
  configFile: z.string().min(1),
  /** Under which it is settled. */
  name: z.string().regex(/^[a-z0-9-]{1,32}$/),
});
export type EngineConnection = z.output<typeof engineConnectionSchema>;

export const apiConfigSchema = operationsConfigSchema.extend({
  listen: z.strictObject({ host: z.string(), port: z.number().int().min(1).max(65535) }),
  /** JSON file: `{"tokens": [{"name", "role", "sha256"}]}`; the token itself is never stored, only its SHA-256. */
  tokensFile: z.string().min(1),
  /** Signs customers' withdrawal intents. */
  withdrawalKey: serviceKeySchema,
  /** Addresses (or networks, CIDR) of proxies whose `x-forwarded-for` is believed; else all behind one share a stranger's limit. */
  trustedProxies: z
    .array(z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()]))
    .max(64)
    .default([]),
  /** Of the engine that is traded with; without it the routes of trading answer that there is none. */
  engine: engineConnectionSchema.optional(),
});
export type ApiConfig = z.output<typeof apiConfigSchema>;

export const tokensFileSchema = z.strictObject({
  tokens: z
    .array(
      z.strictObject({
        name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/),
        role: z.enum(apiRoles),
        /** SHA-256 of the bearer token, hex. */
        sha256: z.string().regex(/^[0-9a-f]{64}$/),
      }),
    )
    .min(1)
    .max(256),
});
export type TokensFile = z.infer<typeof tokensFileSchema>;
