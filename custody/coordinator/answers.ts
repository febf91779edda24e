/** Answers of co-signers as the coordinator reads them. What it relays is checked by the receiver, not here. */
import { z } from 'zod';
import { errorsOf } from '#core/errors';
import {
  type Contribution,
  contributionSchema,
  custodyErrors,
  type Envelope,
  type FinishedSignature,
  type StepAnswer,
} from '#custody/protocol';
import { hexText } from '#policies/contract';

const fail = errorsOf(custodyErrors);

/** Only what relaying needs; payloads pass through unread. */
const routedEnvelopeSchema = z.looseObject({ from: z.number().int(), to: z.number().int() });
const openAnswerSchema = z.object({ contribution: contributionSchema });
const finishedSchema = z.object({
  compact: hexText.length(128),
  recoveryId: z.union([z.literal(0), z.literal(1)]),
  publicKey: hexText.length(66),
});
const stepAnswerSchema = z.union([
  z.object({ state: z.literal('more'), envelopes: z.array(routedEnvelopeSchema) }),
  z.object({ state: z.literal('done'), signature: finishedSchema.optional() }),
]);

function read<S extends z.ZodType>(schema: S, answer: unknown): z.output<S> {
  const parsed = schema.safeParse(answer);
  if (parsed.success) return parsed.data;
  throw fail('CUSTODY_SESSION_ABORTED', 'a co-signer gave an answer of another form', {
    reason: parsed.error.issues.map((issue) => issue.path.join('.')).join(', '),
  });
}

export function readOpenAnswer(answer: unknown): { readonly contribution: Contribution } {
  return read(openAnswerSchema, answer);
}

export function readStepAnswer(answer: unknown): StepAnswer {
  const parsed = read(stepAnswerSchema, answer);
  if (parsed.state === 'more') return { state: 'more', envelopes: parsed.envelopes as unknown as Envelope[] };
  const signature: FinishedSignature | undefined = parsed.signature;
  return signature === undefined ? { state: 'done' } : { state: 'done', signature };
}
