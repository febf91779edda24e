/** Configuration of the engine's process. Secrets come by file path only. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { errorsOf, messageOf } from '#core/errors';
import { infraErrors } from '#infra/contract';
import { type EngineConfig, parseEngineConfig } from '../config.ts';
import { sequencerLimitsSchema } from '../sequencer/limits.ts';

const fail = errorsOf(infraErrors);

const port = z.number().int().min(1).max(65_535);
const count = (min: number, max: number) => z.number().int().min(min).max(max);
/** 32 random bytes as base64url are 43 characters; less than 32 characters is no secret. */
const tokenCharactersMin = 32;

export const engineProcessConfigSchema = z.object({
  databaseUrl: z.string().min(1),
  /** `primary` serves at once, and fences whoever served before; `standby` follows until it is told to take over. */
  mode: z.enum(['primary', 'standby']),
  /** Of the journal and its snapshots; shared with the standby, used by nothing else. */
  journalFolder: z.string().min(1),
  /** Name under which the engine is settled, for ever: a new journal has a new name. */
  engineName: z.string().regex(/^[a-z0-9-]{1,32}$/),
  /** JSON: assets, markets, fees, limits (`matching/config.ts`). */
  engineConfigFile: z.string().min(1),
  /** Where the api connects. */
  link: z.strictObject({ host: z.string().min(1), port, tokenFile: z.string().min(1) }),
  /** Of the health page, and of `POST /takeover`. */
  host: z.string().default('127.0.0.1'),
  healthPort: port,
  /** Of the sequencer; what is left out has its default. */
  limits: sequencerLimitsSchema.prefault({}),
  settlement: z
    .strictObject({
      /** Between two comparisons of all balances, engine against ledger. */
      reconcileEveryMs: count(100, 86_400_000).default(60_000),
      /** Of one portion; without it as many as are good for throughput. */
      tradesMax: count(1, 32_768).optional(),
      /** Events that wait to be booked, beyond which new orders are refused. */
      lagEventsMax: count(1, 10_000_000).optional(),
    })
    .prefault({}),
});
export type EngineProcessConfig = z.output<typeof engineProcessConfigSchema>;

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw fail('INFRA_CONFIG_INVALID', `${file} cannot be read: ${messageOf(error)}`, { file }, error);
  }
}

/** @throws INFRA_CONFIG_INVALID, MATCHING_CONFIG_INVALID */
export function readEngineConfig(file: string): EngineConfig {
  const text = readText(file);
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw fail('INFRA_CONFIG_INVALID', `${file} is not JSON: ${messageOf(error)}`, { file }, error);
  }
  return parseEngineConfig(document);
}

/** The content never reaches a message. @throws INFRA_CONFIG_INVALID */
export function readLinkToken(file: string): string {
  const token = readText(file).trim();
  if (token.length < tokenCharactersMin)
    throw fail(
      'INFRA_CONFIG_INVALID',
      `${file} holds no token of at least ${tokenCharactersMin} characters`,
      {
        file,
      },
    );
  return token;
}
