/** `npm run demo`: the whole story on a real node, a real database, real Temporal and three real co-signer processes. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { RunningEnvironment } from '../environment.ts';
import { checkoutRoot } from '../state.ts';
import { createApiClient } from './api-client.ts';
import { createChainClient } from './chain-client.ts';
import type { DemoContext } from './context.ts';
import { tellDeposit, tellDkg, tellFloat, tellReorg, tellSweep } from './deposit-steps.ts';
import { tellLyingCoordinator, tellSignerKilled, tellWorkerKilled } from './fault-steps.ts';
import { tellLedger } from './ledger-step.ts';
import { type AccountLine, type ProofLine, tellProof } from './proof-step.ts';
import { createStory } from './story.ts';
import { tellTrade } from './trade-step.ts';
import { tellApproved, tellAutomatic, tellDenied } from './withdrawal-steps.ts';

const reportFile = path.join(checkoutRoot, 'demo-report.json');

async function tell(
  context: DemoContext,
): Promise<{ accounts: readonly AccountLine[]; proof: readonly ProofLine[] }> {
  await tellDkg(context);
  await tellFloat(context);
  await tellDeposit(context);
  await tellSweep(context);
  await tellReorg(context);
  await tellAutomatic(context);
  await tellApproved(context);
  const approvedId = context.found.withdrawals.at(-1) ?? '';
  await tellDenied(context);
  await tellLyingCoordinator(context, approvedId);
  await tellSignerKilled(context);
  await tellWorkerKilled(context);
  await tellTrade(context);
  return await tellProof(context);
}

/** Tells the story and writes demo-report.json, also when a step fails. True when every step is ok. */
export async function runDemo(
  environment: RunningEnvironment,
  options: { readonly verbose: boolean },
): Promise<boolean> {
  const print = (line: string) => {
    process.stdout.write(`${line}\n`);
  };
  const { files } = environment;
  if (files === undefined) throw new TypeError('the demo needs the whole suite');
  const node = createChainClient(environment.anvilUrl);
  const story = createStory(print);
  const context: DemoContext = {
    environment,
    files,
    api: createApiClient(environment.apiUrl, files),
    node,
    story,
    strangers: await node.call<string[]>('eth_accounts', []),
    found: { accountId: '', depositAddress: '', hotAddress: '', withdrawals: [] },
  };
  let end: { accounts: readonly AccountLine[]; proof: readonly ProofLine[] } = { accounts: [], proof: [] };
  try {
    end = await tell(context);
    await tellLedger(context);
  } catch (error) {
    if (options.verbose && error instanceof Error) print(error.stack ?? '');
    print(`\nThe story ended early. Logs: ${environment.state.logs}`);
  }
  const ok = story.steps.every((step) => step.ok) && end.proof.length > 0;
  writeFileSync(reportFile, `${JSON.stringify({ steps: story.steps, ...end }, null, 2)}\n`);
  print(`\n${ok ? 'All steps ok.' : 'NOT all steps ok.'} Report: ${path.basename(reportFile)}`);
  return ok;
}

/** After the story blocks come by themselves, as on a real chain. */
export async function keepMining(environment: RunningEnvironment, everySeconds: number): Promise<void> {
  await createChainClient(environment.anvilUrl).call('evm_setIntervalMining', [everySeconds]);
}
