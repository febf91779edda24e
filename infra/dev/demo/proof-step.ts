/**
 * The end of the story: a table of every account, and the proof line of each asset. What is on chain is read from the node
 * by plain JSON-RPC at a final block, over all addresses of the wallet, which are recomputed here and not read from the
 * database.
 */
import { formatTable } from '../../../cli/format.ts';
import { openPool } from '../../db.ts';
import { heightOf } from './chain-client.ts';
import { assertThat, asset, type DemoContext, mineToFinality } from './context.ts';
import type { Step } from './story.ts';
import { dollars } from './trade-step.ts';

export interface AccountLine {
  readonly account: string;
  readonly asset: string;
  readonly balance: string;
  readonly pending: string;
}
export interface ProofLine {
  readonly asset: string;
  /** Null for an asset that lives on our books only. */
  readonly block: number | null;
  readonly customers: string;
  readonly house: string;
  readonly suspense: string;
  readonly onChain: string;
  readonly unposted: string;
  readonly difference: string;
  /** Why there is nothing on chain. */
  readonly note?: string;
}

interface Books {
  readonly asset: string;
  readonly chain: string | null;
  readonly height: number | null;
  readonly customers: string;
  readonly house: string;
  readonly suspense: string;
}

/** Net effect of the blocks (from, to] on our addresses: value in, less value and gas out. */
async function netEffect(
  context: DemoContext,
  own: ReadonlySet<string>,
  range: { from: number; to: number },
): Promise<bigint> {
  let net = 0n;
  for (let height = range.from + 1; height <= range.to; height++) {
    const block = await context.node.block(height);
    for (const transaction of block.transactions) {
      const fromUs = own.has(transaction.from.toLowerCase());
      const toUs = transaction.to !== null && own.has(transaction.to.toLowerCase());
      if (!fromUs && !toUs) continue;
      const receipt = await context.node.receipt(transaction.hash);
      assertThat(
        receipt !== undefined && heightOf(receipt.blockNumber) === height,
        'a block has its receipts',
      );
      const moved = receipt.status === '0x1' ? BigInt(transaction.value) : 0n;
      if (toUs) net += moved;
      if (fromUs) net -= moved + BigInt(receipt.gasUsed) * BigInt(receipt.effectiveGasPrice);
    }
  }
  return net;
}

async function readAccounts(context: DemoContext): Promise<readonly AccountLine[]> {
  const pool = openPool({ connectionString: context.environment.postgresUrl, applicationName: 'demo' });
  try {
    const { rows } = await pool.query<AccountLine>(
      `SELECT path AS account, asset,
              (CASE side WHEN 'debit' THEN debits_posted - credits_posted ELSE credits_posted - debits_posted END)::text
                AS balance,
              (CASE side WHEN 'debit' THEN credits_pending ELSE debits_pending END)::text AS pending
         FROM ledger.account_balance ORDER BY path, asset`,
    );
    return rows;
  } finally {
    await pool.end();
  }
}

const owed = ({ customers, house, suspense }: Books): bigint =>
  BigInt(customers) + BigInt(house) + BigInt(suspense);

/** All ether of the wallet's addresses against all that is owed in it. */
async function proveOnChain(context: DemoContext, book: Books): Promise<ProofLine> {
  const own = new Set([context.found.hotAddress, context.found.depositAddress].map((a) => a.toLowerCase()));
  const block = await context.node.height('finalized');
  assertThat(book.height !== null && book.height <= block, 'the books are not ahead of what is final');
  const holdings = await Promise.all(
    [...own].map(async (address) => await context.node.balance(address, block)),
  );
  const onChain = holdings.reduce((sum, units) => sum + units, 0n);
  const unposted = await netEffect(context, own, { from: book.height, to: block });
  return lineOf(book, { block, onChain, unposted });
}

/** Nothing of it is anywhere but here: what customers have, the house has to answer for, and the sum is nothing. */
const proveOnBooks = (book: Books): ProofLine => ({
  ...lineOf(book, { block: null, onChain: 0n, unposted: 0n }),
  note: 'lives on our books only: nothing of it is on any chain',
});

function lineOf(
  book: Books,
  { block, onChain, unposted }: { block: number | null; onChain: bigint; unposted: bigint },
): ProofLine {
  return {
    asset: book.asset,
    block,
    customers: book.customers,
    house: book.house,
    suspense: book.suspense,
    onChain: onChain.toString(),
    unposted: unposted.toString(),
    difference: (onChain - owed(book) - unposted).toString(),
  };
}

function tellLine(line: ProofLine, step: Step): void {
  step.say('');
  step.say(line.asset);
  const where =
    line.block === null ? 'on chain: nothing, it has none' : `on chain at final block ${line.block}`;
  const rows = [
    [where, line.onChain],
    ['customers', line.customers],
    ['house', line.house],
    ['suspense', line.suspense],
    ['unposted', line.unposted],
  ];
  for (const [name = '', units = ''] of rows) step.say(`${name.padEnd(32)} ${units}`);
}

export async function tellProof(
  context: DemoContext,
): Promise<{ accounts: readonly AccountLine[]; proof: readonly ProofLine[] }> {
  const accounts: AccountLine[] = [];
  const proof: ProofLine[] = [];
  await context.story.step('proof', 'The books and the chain say the same', async (step) => {
    await mineToFinality(context);
    const { books } = await context.api.call<{ books: Books[] }>('auditor', 'GET', '/v1/books');
    for (const book of books)
      proof.push(book.chain === null ? proveOnBooks(book) : await proveOnChain(context, book));
    assertThat(
      [asset, dollars].every((each) => proof.some((line) => line.asset === each)),
      'the books know both assets',
    );
    accounts.push(...(await readAccounts(context)));
    const rows = [
      ['account', 'asset', 'balance', 'pending'],
      ...accounts.map((line) => [line.account, line.asset, line.balance, line.pending]),
    ];
    for (const line of formatTable(rows).split('\n')) step.say(line);
    for (const line of proof) tellLine(line, step);
    const [ofEther] = proof;
    step.fact('difference', ofEther?.difference ?? '');
    assertThat(
      proof.every(({ difference }) => difference === '0'),
      'the books and the chain differ',
    );
  });
  return { accounts, proof };
}
