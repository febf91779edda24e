/** What the chain tests share: an adapter before anvil, anvil's control calls, and paying by a key of the test. */
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import type { ChainAdapter, FeeQuote, SignedTransaction } from '#chains/contract';
import { chainId } from '#core/money';
import { createEthereumAdapter, type EthereumAdapter } from '../../chains/ethereum/adapter.ts';
import { rpc } from '../support/evm-proxy.ts';
import { keyOf, signUnsigned, type TestKey } from '../support/rlp.ts';

export const devChain = chainId('eip155:31337');
export const ether = 10n ** 18n;
export const capUnits = ether / 100n;
/** Any address that no test pays from. */
export const recipient = '0x8617E340B3D01FA5F11F306F4090FD50E238070D';

export const makeAdapter = (url: string, timeoutMs = 5000): EthereumAdapter =>
  createEthereumAdapter({ chain: devChain, url, finality: { kind: 'tag' }, timeoutMs });

/** Distinct keys, so that test cases do not share nonces. */
export const testKey = (n: number): TestKey =>
  keyOf(bytesToHex(hexToBytes(n.toString(16).padStart(64, '0'))));

export interface Payer {
  readonly key: TestKey;
  readonly address: string;
}

/** A fresh account with ten ether. */
export async function fundedPayer(adapter: ChainAdapter, nodeUrl: string, n: number): Promise<Payer> {
  const key = testKey(n);
  const address = adapter.addressOfPublicKey(key.publicKey);
  await rpc(nodeUrl, 'anvil_setBalance', [address, `0x${(10n * ether).toString(16)}`]);
  return { key, address };
}

export const mine = async (nodeUrl: string, blocks = 1): Promise<void> => {
  for (let i = 0; i < blocks; i++) await rpc(nodeUrl, 'evm_mine', []);
};

export interface PaymentOptions {
  readonly nonce: number;
  readonly fee: FeeQuote;
  readonly units?: bigint;
  readonly to?: string;
}

export function signPayment(adapter: ChainAdapter, payer: Payer, options: PaymentOptions): SignedTransaction {
  const unsigned = adapter.buildTransfer({
    conflictSet: { chain: adapter.chain, sender: payer.address, nonce: options.nonce },
    to: options.to ?? recipient,
    units: options.units ?? 1000n,
    fee: options.fee,
  });
  return adapter.attach(unsigned, signUnsigned(payer.key, unsigned.unsigned));
}
