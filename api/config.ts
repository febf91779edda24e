/** Configuration of the api process. Secrets come by file path only. */
import { z } from 'zod';
import { operationsConfigSchema, serviceKeySchema } from '#workflows';

export const apiRoles = ['trading', 'treasury', 'compliance', 'auditor'] as const;
export type ApiRole = (typeof apiRoles)[number];

export const apiConfigSchema = operationsConfigSchema.extend({
  listen: z.strictObject({ host: z.string(), port: z.number().int().min(1).max(65535) }),
  /** JSON file: `{"tokens": [{"name", "role", "sha256"}]}`; the token itself is never stored, only its SHA-256. */
  tokensFile: z.string().min(1),
  /** Signs customers' withdrawal intents. */
  withdrawalKey: serviceKeySchema,
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
