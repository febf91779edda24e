/**
 * The last word of the story: the operator's own command proves the ledger from its journal, and holds it against the heads
 * that the co-signers keep. A process of its own, as an auditor would run it; nothing it needs comes from the api.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { z } from 'zod';
import { nodeArguments, nodeEnvironment } from '../node-process.ts';
import { checkoutRoot } from '../state.ts';
import { until } from './chain-client.ts';
import { assertThat, type DemoContext } from './context.ts';

/** A demo has some dozen transfers; most of it is the start of the process. */
const verifyTimeoutMs = 60_000;

/** Of `ledger verify --json`, what the story tells. */
const verdictSchema = z.object({
  ok: z.boolean(),
  problems: z.array(z.unknown()),
  head: z.object({ batch: z.string(), transfers: z.string(), accounts: z.string(), hash: z.string() }),
  heads: z.object({
    proven: z.object({ batch: z.string(), transfers: z.string(), keepers: z.array(z.string()) }).nullable(),
    unread: z.array(z.string()),
  }),
});
type Verdict = z.output<typeof verdictSchema>;
/** Exit code 1 comes with a verdict too: what is false must be told, not that a command failed. */
const falseVerdict = z.object({ code: z.literal(1), stdout: z.string().min(1) });

async function verifyLedger({ environment, files }: DemoContext): Promise<Verdict> {
  const args = ['ledger', 'verify', '--public-key', files.ledgerPublicKey];
  const { stdout } = await promisify(execFile)(
    process.execPath,
    nodeArguments('cli/main.ts', [...args, '--committee', files.committeeFile, '--json']),
    {
      cwd: checkoutRoot,
      env: { ...nodeEnvironment(), STRONGROOM_CONFIG_DATABASE_URL: environment.postgresUrl },
      timeout: verifyTimeoutMs,
    },
  ).catch((error: unknown) => {
    const told = falseVerdict.safeParse(error);
    if (!told.success) throw error;
    return told.data;
  });
  return verdictSchema.parse(JSON.parse(stdout));
}

export async function tellLedger(context: DemoContext): Promise<void> {
  await context.story.step('ledger', 'The ledger proves itself: strongroom ledger verify', async (step) => {
    // The worker exports heads on a schedule; a moment later the newest batch is in a signed one.
    const { head, heads, problems, ok } = await until('the co-signers to have the newest head', async () => {
      const verdict = await verifyLedger(context);
      return !verdict.ok || verdict.heads.proven?.batch === verdict.head.batch ? verdict : undefined;
    });
    assertThat(ok, `the ledger holds against its journal and its signed heads: ${JSON.stringify(problems)}`);
    assertThat(heads.unread.length === 0, 'every co-signer was asked for the heads it keeps');
    step.fact('accounts', head.accounts);
    step.fact('transfers', head.transfers);
    step.fact('batches', head.batch);
    step.fact('head', head.hash);
    step.fact('head kept by', heads.proven?.keepers ?? []);
    step.say(
      'balances, sums, holds, register of accounts and hash chain recomputed from the journal: all true',
    );
  });
}
