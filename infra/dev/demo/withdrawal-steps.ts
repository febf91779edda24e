/** Withdrawals: one automatic, one approved by two people, one denied; each with its proof. */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { checkoutRoot } from '../state.ts';
import { signApproval } from './approvals.ts';
import {
  assertThat,
  balance,
  type DemoContext,
  ether,
  freshAddress,
  paymentsTo,
  requestWithdrawal,
  waitForWithdrawal,
} from './context.ts';
import type { Step } from './story.ts';

const run = promisify(execFile);

/** Fetches the certificate and lets the command line check it, with the node as witness of the block. */
async function verifyCertificate(context: DemoContext, id: string, step: Step): Promise<void> {
  const certificate = await context.api.call('treasury', 'GET', `/v1/withdrawals/${id}/certificate`);
  const file = path.join(context.environment.state.data, `certificate-${id}.json`);
  writeFileSync(file, JSON.stringify(certificate, null, 2));
  const tool = [
    ['--import', import.meta.resolve('tsx'), path.join(checkoutRoot, 'cli', 'main.ts')],
    ['certificate', 'verify', file, '--json'],
    ['--committee', context.files.committeeFile, '--node', context.environment.anvilUrl],
  ].flat();
  const { stdout } = await run(process.execPath, tool, { cwd: checkoutRoot });
  const answer = JSON.parse(stdout) as { holds: boolean; checks: { name: string; verdict: string }[] };
  assertThat(answer.holds, `the certificate of ${id} does not hold`);
  step.fact('certificate', file);
  step.fact(
    'proven',
    answer.checks.filter((entry) => entry.verdict === 'proven').map((entry) => entry.name),
  );
}

/** One person signs the statement the api gives, with their own passkey. */
async function approve(context: DemoContext, id: string, person: string, step: Step): Promise<void> {
  const statement = await signApproval(context, id, {
    decision: 'approve',
    group: 'treasury',
    approver: person,
  });
  step.say(`${person} approved with a passkey over ${statement.intentHash}`);
}

export async function assertPaidOnce(
  context: DemoContext,
  paid: { id: string; address: string; units: bigint },
  step: Step,
): Promise<void> {
  const payments = await paymentsTo(context, paid.address);
  assertThat(payments.length === 1, `${payments.length} transactions pay ${paid.address}, 1 expected`);
  const holds = await context.node.balance(paid.address, await context.node.height());
  assertThat(
    holds === paid.units,
    `${paid.address} holds ${holds.toString()}, expected ${paid.units.toString()}`,
  );
  step.fact('withdrawal', paid.id);
  step.fact('address', paid.address);
  step.fact('units', paid.units.toString());
  step.fact('txId', payments[0] ?? '');
}

export async function tellAutomatic(context: DemoContext): Promise<void> {
  await context.story.step('withdrawal-auto', 'A small withdrawal is paid without a person', async (step) => {
    const paid = { address: freshAddress(), units: ether / 2n };
    const { id } = await requestWithdrawal(context, paid);
    const final = await waitForWithdrawal(context, id, 'FINAL', { mine: true });
    step.say(`Allowed by rule ${final.decision?.rules.join(', ') ?? ''}; two of three co-signers signed.`);
    await assertPaidOnce(context, { id, ...paid }, step);
    step.fact('feeUnits', final.feeUnits ?? '');
    await verifyCertificate(context, id, step);
  });
}

export async function tellApproved(context: DemoContext): Promise<void> {
  await context.story.step(
    'withdrawal-approved',
    'A large one waits, two people approve, it is paid',
    async (step) => {
      const paid = { address: freshAddress(), units: 2n * ether };
      const { id } = await requestWithdrawal(context, paid);
      const waiting = await waitForWithdrawal(context, id, 'PENDING_APPROVAL');
      step.say(
        `It waits: ${JSON.stringify(waiting.missingApprovals)} by ${waiting.decision?.rules.join(', ') ?? ''}`,
      );
      await approve(context, id, 'ada', step);
      const half = await waitForWithdrawal(context, id, 'PENDING_APPROVAL');
      assertThat(half.missingApprovals['treasury'] === 1, 'one approval is not enough');
      await approve(context, id, 'ben', step);
      await waitForWithdrawal(context, id, 'FINAL', { mine: true });
      await assertPaidOnce(context, { id, ...paid }, step);
      step.fact('approvers', ['ada', 'ben']);
      await verifyCertificate(context, id, step);
    },
  );
}

export async function tellDenied(context: DemoContext): Promise<void> {
  await context.story.step(
    'withdrawal-denied',
    'One is denied by the policy, which names the rule',
    async (step) => {
      const before = await balance(context);
      const address = freshAddress();
      const { id } = await requestWithdrawal(context, { address, units: 60n * ether });
      const denied = await waitForWithdrawal(context, id, 'REJECTED');
      assertThat(denied.decision?.outcome === 'deny', 'the decision is a denial');
      const after = await balance(context);
      assertThat(
        after.available === before.available && after.held === before.held,
        'no hold is left behind',
      );
      step.fact('withdrawal', id);
      step.fact('rules', denied.decision.rules);
      step.fact('reason', denied.decision.reason ?? '');
      step.fact('available', after.available);
    },
  );
}
