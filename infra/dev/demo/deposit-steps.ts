/** The first half of the story: the key, the house's money, a customer's deposit, its sweep, and a reorg. */
import { readFileSync } from 'node:fs';
import { addressOfCompressedKey } from '#chains';
import { verifyAddress } from '#custody';
import { committeeSchema } from '#custody/protocol';
import { until } from './chain-client.ts';
import {
  assertThat,
  asset,
  balance,
  chain,
  type DemoContext,
  depositOf,
  ether,
  makeId,
  mineToFinality,
  waitForDeposit,
} from './context.ts';

interface Statement {
  readonly party: number;
  readonly publicKey: string;
  readonly chainCode: string;
  readonly transcriptHash: string;
}

export async function tellDkg(context: DemoContext): Promise<void> {
  await context.story.step('dkg', 'Three co-signers make a key that none of them has', async (step) => {
    const { walletId, committeeFile } = context.files;
    const statements = await Promise.all(
      context.environment.signers.map(
        async ({ url }) =>
          (await (await fetch(`${url}/v1/wallets/${walletId}/statement`)).json()) as Statement,
      ),
    );
    const committee = committeeSchema.parse(JSON.parse(readFileSync(committeeFile, 'utf8')));
    const hot = verifyAddress({
      wallet: walletId,
      path: 'm/1/0',
      statements,
      committee,
      dev: true,
      addressOfPublicKey: addressOfCompressedKey,
    });
    context.found.hotAddress = hot.address;
    step.say('Each signed a statement of the same key; the address is recomputed from all three.');
    step.fact('wallet', walletId);
    step.fact(
      'parties',
      statements.map((statement) => String(statement.party)),
    );
    step.fact('publicKey', statements[0]?.publicKey ?? '');
    step.fact('transcriptHash', statements[0]?.transcriptHash ?? '');
    step.fact('hotAddress', hot.address);
    assertThat(statements.length === 3, 'three co-signers take part');
  });
}

export async function tellFloat(context: DemoContext): Promise<void> {
  await context.story.step('float', 'The house float arrives and is declared', async (step) => {
    const { walletId } = context.files;
    const units = 20n * ether;
    const txId = await context.node.pay({
      from: context.strangers[0] ?? '',
      to: context.found.hotAddress,
      units,
    });
    await mineToFinality(context);
    interface Inflow {
      readonly txId: string;
      readonly index: number;
      readonly state: string;
    }
    const inflow = await until('the inflow to be final', async () => {
      const { inflows } = await context.api.call<{ inflows: Inflow[] }>(
        'treasury',
        'GET',
        `/v1/wallets/${walletId}/inflows`,
      );
      return inflows.find((row) => row.txId === txId && row.state === 'FINAL');
    });
    step.say('Value nobody announced is booked to suspense; treasury declares what it is.');
    await context.api.call('treasury', 'POST', '/v1/house-float', { chain, txId, index: inflow.index });
    step.fact('txId', txId);
    step.fact('units', units.toString());
  });
}

export async function tellDeposit(context: DemoContext): Promise<void> {
  await context.story.step('deposit', 'A customer deposits: seen, final, credited', async (step) => {
    const accountId = makeId('acc');
    context.found.accountId = accountId;
    await context.api.call('trading', 'PUT', `/v1/accounts/${accountId}`);
    const { address } = await context.api.call<{ address: string }>(
      'trading',
      'POST',
      `/v1/accounts/${accountId}/deposit-address`,
      { asset },
    );
    context.found.depositAddress = address;
    step.fact('accountId', accountId);
    step.fact('depositAddress', address);
    const units = 100n * ether;
    const txId = await context.node.pay({ from: context.strangers[1] ?? '', to: address, units });
    await context.node.mine(1);
    const seen = await waitForDeposit(context, txId, 'SEEN');
    const provisional = await balance(context);
    assertThat(
      provisional.available === '0' && provisional.provisional === units.toString(),
      'a deposit that is only seen cannot be spent',
    );
    step.say(`Seen in block ${seen.blockHeight}: ${provisional.provisional} provisional, 0 available.`);
    await mineToFinality(context);
    await waitForDeposit(context, txId, 'FINAL');
    const credited = await balance(context);
    assertThat(credited.available === units.toString(), 'a final deposit is available');
    step.fact('txId', txId);
    step.fact('blockHash', seen.blockHash);
    step.fact('available', credited.available);
  });
}

export async function tellSweep(context: DemoContext): Promise<void> {
  await context.story.step('sweep', 'The deposit is swept to the hot address', async (step) => {
    interface Sweep {
      readonly address: string;
      readonly state: string;
      readonly units: string;
      readonly txId: string | null;
      readonly feeUnits: string | null;
    }
    const sweep = await until('the sweep to be final', async () => {
      await context.node.mine(1);
      const { sweeps } = await context.api.call<{ sweeps: Sweep[] }>(
        'treasury',
        'GET',
        `/v1/wallets/${context.files.walletId}/sweeps`,
      );
      return sweeps.find((row) => row.address === context.found.depositAddress && row.state === 'FINAL');
    });
    const receipt = await context.node.receipt(sweep.txId ?? '');
    assertThat(
      receipt?.status === '0x1' && receipt.to?.toLowerCase() === context.found.hotAddress.toLowerCase(),
      'the node has the sweep',
    );
    step.say('Signed by the co-signers for the deposit address itself, which pays its own gas.');
    step.fact('from', context.found.depositAddress);
    step.fact('to', context.found.hotAddress);
    step.fact('units', sweep.units);
    step.fact('feeUnits', sweep.feeUnits ?? '');
    step.fact('txId', sweep.txId ?? '');
  });
}

export async function tellReorg(context: DemoContext): Promise<void> {
  await context.story.step(
    'reorg-reversed',
    'A reorg orphans a second deposit before it is final; its line is reversed',
    async (step) => {
      const before = await balance(context);
      const units = 3n * ether;
      const txId = await context.node.pay({
        from: context.strangers[2] ?? '',
        to: context.found.depositAddress,
        units,
      });
      await context.node.mine(1);
      const seen = await waitForDeposit(context, txId, 'SEEN');
      assertThat(
        (await balance(context)).provisional === units.toString(),
        'the second deposit is provisional',
      );
      // anvil drops the transactions of the blocks it rewrites: this deposit never happened.
      const depth = (await context.node.height()) - seen.blockHeight + 1;
      await context.node.call('anvil_reorg', [depth, []]);
      await context.node.mine(1);
      await waitForDeposit(context, txId, 'ORPHANED');
      const after = await balance(context);
      assertThat(after.provisional === '0', 'nothing provisional is left');
      assertThat(after.available === before.available, 'what could be spent did not change');
      assertThat((await context.node.receipt(txId)) === undefined, 'the node no longer has the transaction');
      step.fact('txId', txId);
      step.fact('orphanedBlock', seen.blockHash);
      step.fact('state', (await depositOf(context, txId))?.state ?? '');
      step.fact('available', after.available);
    },
  );
}
