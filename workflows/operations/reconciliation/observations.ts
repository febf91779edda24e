/** The chain's side: what the node says of our addresses at a final block, and what happened there since the books' height. */
import type { Block, BlockRef, ChainAdapter } from '#chains/contract';
import { type Quantity, transactionsUnit } from '#ledger/contract';
import type { AddressBooks, Books } from './books.ts';

/** Final blocks the books may be behind. Full nodes keep the states of about 128 blocks, and a run reads each of these. */
const unpostedBlocksMax = 100;
/** Calls to the node at once. */
const callsAtOnce = 8;

export interface Observations {
  readonly height: number;
  readonly quantities: readonly Quantity[];
}
/** Why nothing can be said now. */
export interface NotJudged {
  readonly notJudged: string;
}

interface Effect {
  units: bigint;
  sent: bigint;
}
type Effects = ReadonlyMap<string, Effect>;
const none: Effect = { units: 0n, sent: 0n };

async function inPortions<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let at = 0; at < items.length; at += callsAtOnce)
    results.push(...(await Promise.all(items.slice(at, at + callsAtOnce).map(work))));
  return results;
}

/** The blocks above the books' one, each the child of the one before; undefined when the node has another chain. */
async function blocksAbove(
  adapter: ChainAdapter,
  from: BlockRef,
  toHeight: number,
): Promise<readonly Block[] | undefined> {
  const blocks: Block[] = [];
  let parent = from.hash;
  if ((await adapter.blockRefAt(from.height))?.hash !== parent) return undefined;
  for (let height = from.height + 1; height <= toHeight; height++) {
    const ref = await adapter.blockRefAt(height);
    const block = ref === undefined ? undefined : await adapter.block(ref.hash);
    if (block?.parentHash !== parent) return undefined;
    blocks.push(block);
    parent = block.hash;
  }
  return blocks;
}

/** What the blocks did to the addresses: value in, less value and fees out, and how often they sent. */
function effectsOf(blocks: readonly Block[], addresses: ReadonlySet<string>): Effects {
  const effects = new Map<string, Effect>();
  const add = (address: string, units: bigint, sent: bigint): void => {
    if (!addresses.has(address)) return;
    const effect = effects.get(address) ?? none;
    effects.set(address, { units: effect.units + units, sent: effect.sent + sent });
  };
  for (const { from, feeUnits, transfers } of blocks.flatMap((block) => block.transactions)) {
    add(from, -feeUnits, 1n);
    for (const transfer of transfers) {
      add(transfer.from, -transfer.units, 0n);
      add(transfer.to, transfer.units, 0n);
    }
  }
  return effects;
}

interface Observed {
  readonly books: AddressBooks;
  readonly units: bigint;
  readonly sent: bigint;
  readonly effect: Effect;
}

function quantitiesOf(books: Books, observed: ReadonlyMap<string, Observed>, unit: string): Quantity[] {
  const of = ({ address }: AddressBooks): Observed[] => {
    const found = observed.get(address);
    return found === undefined ? [] : [found];
  };
  const units = (
    check: 'hot' | 'address',
    { books: { address, walletId, units: booked }, ...seen }: Observed,
  ): Quantity => ({
    check,
    subject: address,
    unit,
    walletId,
    booked,
    observed: seen.units,
    unposted: seen.effect.units,
    source: 'observed',
  });
  const sent = ({ books: { address, walletId, sent: booked }, ...seen }: Observed): Quantity => ({
    check: 'sent',
    subject: address,
    unit: transactionsUnit,
    walletId,
    booked,
    observed: seen.sent,
    unposted: seen.effect.sent,
    source: 'observed',
  });
  return books.wallets.flatMap((wallet) => {
    const deposit = wallet.deposit.flatMap(of);
    const whole: Quantity[] =
      wallet.depositMirror === null
        ? []
        : [
            {
              check: 'deposit',
              subject: `chain:deposit:${wallet.walletId}`,
              unit,
              walletId: wallet.walletId,
              booked: wallet.depositMirror,
              observed: deposit.reduce((sum, each) => sum + each.units, 0n),
              unposted: deposit.reduce((sum, each) => sum + each.effect.units, 0n),
              source: 'observed',
            },
          ];
    const hot = of(wallet.hot);
    return [
      ...hot.map((each) => units('hot', each)),
      ...whole,
      ...deposit.map((each) => units('address', each)),
      ...[...hot, ...deposit].map(sent),
    ];
  });
}

/**
 * Everything is asked at one height at or above the books' own, both final, so that nothing moves between the questions.
 * @throws CHAINS_NODE_UNAVAILABLE, CHAINS_NODE_INCONSISTENT
 */
export async function observe(adapter: ChainAdapter, books: Books): Promise<Observations | NotJudged> {
  const final = await adapter.finalizedHeight();
  const { block } = books;
  if (final < block.height)
    return { notJudged: `the node says that ${final} is final, the books are at ${block.height}` };
  // Far behind, the node is asked as near to the books as its states may reach.
  const height = Math.min(final, block.height + unpostedBlocksMax);
  const blocks = await blocksAbove(adapter, block, height);
  if (blocks === undefined)
    return { notJudged: `the node has another chain at or above our final block ${block.height}` };
  const all = books.wallets.flatMap((wallet) => [wallet.hot, ...wallet.deposit]);
  const effects = effectsOf(blocks, new Set(all.map(({ address }) => address)));
  const observed = await inPortions(all, async (each): Promise<[string, Observed]> => {
    const [units, sent] = await Promise.all([
      adapter.balanceAt(each.address, height),
      adapter.minedNonce(each.address, height),
    ]);
    return [
      each.address,
      { books: each, units, sent: BigInt(sent), effect: effects.get(each.address) ?? none },
    ];
  });
  const top = blocks.at(-1) ?? block;
  if ((await adapter.blockRefAt(height))?.hash !== top.hash)
    return { notJudged: `block ${height} changed while the node was asked` };
  return { height, quantities: quantitiesOf(books, new Map(observed), adapter.nativeAsset) };
}
