/** The bench on a node of its own: blocks are mined by the test and followed as the watcher does; no Temporal. */
import { type Id, newId } from '#core/ids';
import { claimBatch } from '../../workflows/operations/batches.ts';
import { decide } from '../../workflows/operations/decide.ts';
import { follow } from '../../workflows/operations/follow.ts';
import { sendPayment, signPayment } from '../../workflows/operations/payments.ts';
import { startAnvil } from '../support/anvil.ts';
import { rpc } from '../support/evm-proxy.ts';
import { chain, ether, openBench, outside, type TestBench } from './fixture.ts';

const rich = '0xf39Fd6e51aad88F6F4ce6aB8827279cfFFb92266';

export interface AnvilBench extends TestBench {
  readonly nodeUrl: string;
  mine(blocks?: number): Promise<void>;
  follow(): Promise<void>;
  /** Mines until what was sent is final, and follows. */
  settle(): Promise<void>;
  /** From the outside world; mined, not followed. */
  pay(to: string, units: bigint): Promise<string>;
  /** By somebody who holds the key of one of our addresses; mined, not followed. */
  steal(from: string, units: bigint, nonce?: number): Promise<string>;
  /** An account with a final deposit; its address is swept or not by the test. */
  customer(units: bigint): Promise<{ readonly accountId: Id<'acc'>; readonly address: string }>;
  queued(accountId: string, units: bigint, address?: string): Promise<Id<'wd'>>;
  claim(): ReturnType<typeof claimBatch>;
  signAndSend(paymentId: string): Promise<void>;
}

export async function openAnvilBench(): Promise<AnvilBench> {
  const { url: nodeUrl } = await startAnvil({ noMining: true });
  const bench = await openBench({ nodeUrl });
  const { deps } = bench;
  const mine = async (blocks = 1): Promise<void> => {
    for (let at = 0; at < blocks; at += 1) await rpc(nodeUrl, 'evm_mine');
  };
  const followAll = async (): Promise<void> => {
    while ((await follow(deps, chain)).kind !== 'idle');
  };
  const settle = async (): Promise<void> => {
    await mine(3);
    await followAll();
  };
  const send = async (transaction: Record<string, string>): Promise<string> => {
    const txId = String(await rpc(nodeUrl, 'eth_sendTransaction', [transaction]));
    await mine();
    return txId;
  };
  const hex = (value: bigint | number): string => `0x${value.toString(16)}`;
  const pay = async (to: string, units: bigint) => await send({ from: rich, to, value: hex(units) });
  await settle();
  return {
    ...bench,
    nodeUrl,
    mine,
    follow: followAll,
    settle,
    pay,
    steal: async (from, units, nonce) => {
      await rpc(nodeUrl, 'anvil_impersonateAccount', [from]);
      return await send({
        from,
        to: rich,
        value: hex(units),
        ...(nonce === undefined ? {} : { nonce: hex(nonce) }),
      });
    },
    customer: async (units) => {
      const accountId = await bench.newAccount();
      const { address } = await bench.operations.depositAddress({ accountId, asset: ether });
      await pay(address, units);
      await settle();
      return { accountId, address };
    },
    queued: async (accountId, units, address = outside) => {
      const id = bench.newWithdrawalId();
      const asked = { id, accountId, asset: ether, address, units: units.toString() };
      await bench.operations.requestWithdrawal(asked);
      await decide(deps, id);
      return id;
    },
    claim: async () =>
      await claimBatch(deps, { batchId: newId('bat', deps.clock, deps.random), walletId: bench.walletId }),
    signAndSend: async (paymentId) => {
      const signed = await signPayment(deps, { paymentId, number: 0 });
      const sent = await sendPayment(deps, { paymentId });
      if (signed.outcome !== 'signed' || sent.outcome !== 'accepted')
        throw new Error(`${paymentId} was ${signed.outcome} and ${sent.outcome}`);
    },
  };
}
