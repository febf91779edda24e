/** The second half: a coordinator that lies, a co-signer that dies in mid-signature, a worker that dies after broadcast. */
import { randomBytes } from 'node:crypto';
import { readSignedTransaction } from '#chains';
import { newId } from '#core/ids';
import { until } from './chain-client.ts';
import {
  assertThat,
  chain,
  type DemoContext,
  ether,
  freshAddress,
  requestWithdrawal,
  waitForWithdrawal,
} from './context.ts';
import { assertPaidOnce } from './withdrawal-steps.ts';

interface CertificateParts {
  readonly intent: { readonly intent: { readonly id: string; readonly source: string } };
  readonly policy: { readonly hash: string };
  readonly roster: { readonly hash: string };
  readonly approvals: readonly unknown[];
  readonly wallet: { readonly id: string };
  readonly transaction: { readonly raw: string };
}

/**
 * What a lying coordinator sends: everything is real and approved, only the destination in the bytes is another.
 * It is written here and not in the product, which has no switch for lying.
 */
function swappedRequest(certificate: CertificateParts, attacker: string, participants: readonly number[]) {
  const content = readSignedTransaction(certificate.transaction.raw);
  const honest = content.to.slice(2).toLowerCase();
  assertThat(content.unsigned.includes(honest), 'the destination stands in the bytes');
  return {
    wallet: certificate.wallet.id,
    epoch: 0,
    path: certificate.intent.intent.source,
    chain,
    unsigned: content.unsigned.replace(honest, attacker.slice(2).toLowerCase()),
    purpose: 'pay',
    intents: [certificate.intent],
    facts: [],
    approvals: certificate.approvals.map((approval) => ({
      intentId: certificate.intent.intent.id,
      approval,
    })),
    policyHash: certificate.policy.hash,
    rosterHash: certificate.roster.hash,
    participants: [...participants],
  };
}

export async function tellLyingCoordinator(context: DemoContext, approvedId: string): Promise<void> {
  await context.story.step(
    'coordinator-lies',
    'The coordinator swaps the destination after the approval; every co-signer refuses',
    async (step) => {
      const certificate = await context.api.call<CertificateParts>(
        'treasury',
        'GET',
        `/v1/withdrawals/${approvedId}/certificate`,
      );
      const attacker = freshAddress();
      const random = { bytes: (length: number) => randomBytes(length) };
      const refusals: string[] = [];
      for (const { index, url } of context.environment.signers) {
        const partner = (index % context.environment.signers.length) + 1;
        const request = swappedRequest(certificate, attacker, [index, partner].sort());
        const session = newId('ses', { nowMs: () => Date.now() }, random);
        const answer = await fetch(`${url}/v1/sign/open`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ session, request }),
        });
        const refusal = (await answer.json()) as {
          code?: string;
          details?: { check?: string; reason?: string };
        };
        assertThat(
          !answer.ok && refusal.code === 'CUSTODY_REFUSED' && refusal.details?.check !== undefined,
          `co-signer ${index} did not refuse: ${JSON.stringify(refusal)}`,
        );
        refusals.push(`co-signer ${index}: check ${refusal.details.check} (${refusal.details.reason ?? ''})`);
      }
      for (const refusal of refusals) step.say(refusal);
      step.fact('attacker', attacker);
      step.fact('refusals', refusals);
      const stolen = await context.node.balance(attacker, await context.node.height());
      assertThat(stolen === 0n, 'nothing went to the attacker');
    },
  );
}

/** One of the three quorums is without the armed co-signer, so it may not be asked the first time. */
const withdrawalsMax = 4;

export async function tellSignerKilled(context: DemoContext): Promise<void> {
  await context.story.step(
    'signer-killed',
    'A co-signer is killed in mid-signature; a new session completes it',
    async (step) => {
      const name = 'signer-2';
      const trap = context.environment.armFailpoint(name, 'mid-signature');
      for (let attempt = 1; ; attempt++) {
        const paid = { address: freshAddress(), units: ether / 10n };
        const { id } = await requestWithdrawal(context, paid);
        await waitForWithdrawal(context, id, 'FINAL', { mine: true });
        if (trap.fired()) {
          step.say(`${name} died after the first protocol round; the other two signed in a new session.`);
          await assertPaidOnce(context, { id, ...paid }, step);
          break;
        }
        assertThat(attempt < withdrawalsMax, `${name} was never asked to sign`);
      }
      await context.environment.restart(name);
      step.say(`${name} is back.`);
      step.fact('killed', name);
    },
  );
}

export async function tellWorkerKilled(context: DemoContext): Promise<void> {
  await context.story.step(
    'worker-killed',
    'The worker is killed between broadcast and confirmation; it is paid exactly once',
    async (step) => {
      const trap = context.environment.armFailpoint('worker', 'after-broadcast');
      const paid = { address: freshAddress(), units: ether / 5n };
      const { id } = await requestWithdrawal(context, paid);
      await until('the worker to die after broadcast', () =>
        Promise.resolve(trap.fired() ? true : undefined),
      );
      step.say('The transaction is out, the worker is dead, nobody has recorded the answer.');
      await context.environment.restart('worker');
      await waitForWithdrawal(context, id, 'FINAL', { mine: true });
      await assertPaidOnce(context, { id, ...paid }, step);
    },
  );
}
