/** Configuration of the api process. Secrets come by file path only. */
import { z } from 'zod';

export const apiRoles = ['trading', 'treasury', 'compliance', 'auditor'] as const;
export type ApiRole = (typeof apiRoles)[number];

export const apiConfigSchema = z.strictObject({
  databaseUrl: z.string().min(1),
  listen: z.strictObject({ host: z.string(), port: z.number().int().min(1).max(65535) }),
  /** JSON file: `{"tokens": [{"name", "role", "sha256"}]}`; the token itself is never stored, only its SHA-256. */
  tokensFile: z.string().min(1),
  committeeFile: z.string().min(1),
  policyFile: z.string().min(1),
  rosterFile: z.string().min(1),
  /** Ed25519 key (PKCS#8 PEM) that signs customers' withdrawal intents; listed in the roster as `serviceId`. */
  serviceKeyFile: z.string().min(1),
  serviceId: z.string().min(1),
  serviceKeyId: z.string().min(1),
  chains: z.array(z.looseObject({ name: z.string(), chain: z.string(), url: z.string() })).min(1),
  wallets: z
    .array(
      z.strictObject({
        id: z.string(),
        vault: z.string(),
        tier: z.enum(['hot', 'warm', 'cold']),
        chain: z.string(),
      }),
    )
    .min(1),
  dev: z.boolean().default(false),
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
