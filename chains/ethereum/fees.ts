/**
 * EIP-1559 fees under a cap. Pure but for {@link readMarket}.
 *
 * `maxFee = 2 x base + tip` survives about six full blocks in a row (the base fee grows by at most 12.5 % per block).
 */
import { errorsOf, invariant } from '#core/errors';
import { bumpDenominator, bumpNumerator, chainErrors, type FeeQuote } from '../contract.ts';
import { type EthereumNode, heightHex } from './rpc.ts';
import { wireFeeHistory } from './wire.ts';

const fail = errorsOf(chainErrors);

/** Intrinsic gas of a transfer of ether without data (Yellow Paper, G_transaction). */
export const transferGas = 21_000n;
/** 0.1 gwei: geth refuses tip 0 and its miners skip less than 0.001 gwei; empty blocks report no tips at all. */
export const tipFloorPerGas = 100_000_000n;
/** Headroom over the next base fee. */
const baseFeeFactor = 2n;
const historyBlocks = 10;
/** The median tip of each block: cheap enough, and half of each block's gas paid less. */
const historyPercentile = 50;

/** What the next block asks, wei per gas. */
export interface FeeMarket {
  readonly baseFeePerGas: bigint;
  readonly tipPerGas: bigint;
}

/** Base fee of the next block, and the median over the last blocks with transactions of their median tips. */
export async function readMarket(node: EthereumNode): Promise<FeeMarket> {
  const history = await node.call(
    'eth_feeHistory',
    [heightHex(historyBlocks), 'latest', [historyPercentile]],
    wireFeeHistory,
  );
  const tips = (history.reward ?? []).flatMap((row, index) =>
    (history.gasUsedRatio[index] ?? 0) > 0 ? row.slice(0, 1) : [],
  );
  const baseFeePerGas = history.baseFeePerGas.at(-1);
  invariant(baseFeePerGas !== undefined, 'a fee history without a base fee passed its schema');
  return { baseFeePerGas, tipPerGas: median(tips) };
}

function median(tips: readonly bigint[]): bigint {
  const sorted = [...tips].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  const middle = sorted[Math.floor(sorted.length / 2)] ?? 0n;
  return middle < tipFloorPerGas ? tipFloorPerGas : middle;
}

const larger = (a: bigint, b: bigint): bigint => (a > b ? a : b);
const smaller = (a: bigint, b: bigint): bigint => (a < b ? a : b);

/** +12.5 %, rounded up, so that a node that asks for exactly that ratio is satisfied. */
function bumped(feePerGas: bigint): bigint {
  return (feePerGas * bumpNumerator + bumpDenominator - 1n) / bumpDenominator;
}

function underCap(options: {
  gasLimit: bigint;
  wanted: bigint;
  lowest: bigint;
  tip: bigint;
  capUnits: bigint;
}): FeeQuote {
  const { gasLimit, wanted, lowest, tip, capUnits } = options;
  const affordable = capUnits / gasLimit;
  if (affordable < lowest)
    throw fail(
      'CHAINS_FEE_ABOVE_CAP',
      `the network asks at least ${(lowest * gasLimit).toString()} wei, the cap is ${capUnits.toString()} wei`,
      { neededUnits: (lowest * gasLimit).toString(), capUnits: capUnits.toString() },
    );
  const maxFeePerGas = smaller(wanted, affordable);
  invariant(tip <= maxFeePerGas, 'the tip is above the whole fee (EIP-1559 forbids it)');
  return {
    gasLimit,
    maxFeePerGas,
    maxPriorityFeePerGas: tip,
    maxCostUnits: gasLimit * maxFeePerGas,
  };
}

/** @throws CHAINS_FEE_ABOVE_CAP when the cap does not even pay the next block */
export function quote(market: FeeMarket, capUnits: bigint): FeeQuote {
  const tip = larger(market.tipPerGas, tipFloorPerGas);
  return underCap({
    gasLimit: transferGas,
    wanted: baseFeeFactor * market.baseFeePerGas + tip,
    lowest: market.baseFeePerGas + tip,
    tip,
    capUnits,
  });
}

/**
 * Both fees at least +12.5 % (geth: +10 % on both, others 12.5 %) and at least what the next block asks.
 * @throws CHAINS_FEE_ABOVE_CAP when the smallest acceptable replacement is above the cap
 */
export function bump(previous: FeeQuote, market: FeeMarket, capUnits: bigint): FeeQuote {
  const tip = larger(bumped(previous.maxPriorityFeePerGas), larger(market.tipPerGas, tipFloorPerGas));
  const leastBump = bumped(previous.maxFeePerGas);
  return underCap({
    gasLimit: previous.gasLimit,
    wanted: larger(leastBump, baseFeeFactor * market.baseFeePerGas + tip),
    lowest: larger(leastBump, market.baseFeePerGas + tip),
    tip,
    capUnits,
  });
}
