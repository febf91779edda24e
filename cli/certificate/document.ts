/** The form of a certificate file; its inner documents have the schemas of the parts they come from. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { errorsOf, messageOf } from '#core/errors';
import { committeeSchema, keyStatementSchema } from '#custody/protocol';
import { transferKinds } from '#ledger/contract';
import { approvalSchema, hexText, policySchema, rosterSchema, signedIntentSchema } from '#policies/contract';
import { cliErrors } from '../contract.ts';

const fail = errorsOf(cliErrors);
/** A certificate with 64 approvals is about 200 KiB. */
const certificateBytesMax = 8 * 1024 * 1024;

export const certificateSchema = z.strictObject({
  format: z.literal('strongroom/certificate/v1'),
  withdrawalId: z.string(),
  intent: signedIntentSchema,
  intentHash: z.string(),
  policy: z.strictObject({ hash: z.string(), document: policySchema }),
  roster: z.strictObject({ hash: z.string(), document: rosterSchema }),
  decision: z.unknown(),
  approvals: z.array(approvalSchema),
  wallet: z.strictObject({
    id: z.string(),
    publicKey: hexText.length(66),
    chainCode: hexText.length(64),
    path: z.string(),
  }),
  keyStatements: z.array(keyStatementSchema),
  transaction: z.strictObject({ txId: z.string(), raw: hexText, sender: z.string() }),
  inclusion: z.strictObject({ height: z.number().int(), blockHash: z.string(), feeUnits: z.string() }),
  journal: z.array(
    z.strictObject({
      id: z.string(),
      kind: z.enum(transferKinds),
      debit: z.string(),
      credit: z.string(),
      asset: z.string(),
      units: z.string(),
      code: z.string(),
    }),
  ),
});
export type CertificateDocument = z.infer<typeof certificateSchema>;

/** @throws CLI_FILE_INVALID naming the field */
export function readJsonFile<S extends z.ZodType>(file: string, schema: S): z.output<S> {
  let content: unknown;
  try {
    const text = readFileSync(file, 'utf8');
    if (text.length > certificateBytesMax) throw new Error(`it is longer than ${certificateBytesMax} bytes`);
    content = JSON.parse(text);
  } catch (error) {
    throw fail('CLI_FILE_INVALID', `${file} cannot be read: ${messageOf(error)}`, { file });
  }
  const result = schema.safeParse(content);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  throw fail('CLI_FILE_INVALID', `${file}: ${problems.slice(0, 5).join('; ')}`, { file });
}

export const readCommittee = (file: string) => readJsonFile(file, committeeSchema);
