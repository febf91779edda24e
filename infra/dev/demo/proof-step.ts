/**
 * The end of the story: a table of every account, and the proof line of each asset. What is on chain is read from the node
 * by plain JSON-RPC at a final block, over all addresses of the wallet, which are recomputed here and not read from the
 * database.
 */
import { formatTable } from '../../../cli/format.ts';
import { openPool } from '../../db.ts';
import { heightOf } from './chain-client.ts';
import { assertThat, asset, type DemoContext, mineToFinality } from './context.ts';

export interface AccountLine {
  readonly account: string;
  readonly asset: string;
  readonly balance: string;
  readonly pending: string;
}
export interface ProofLine {
  readonly asset: string;
  readonly block: number;
  readonly customers: string;
  readonly house: string;
  readonly suspense: string;
  readonly onChain: string;
  readonly unposted: string;
  readonly difference: string;
}

interface Books {
  readonly asset: string;
  readonly height: number;
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

export async function tellProof(
  context: DemoContext,
): Promise<{ accounts: readonly AccountLine[]; proof: readonly ProofLine[] }> {
  const accounts: AccountLine[] = [];
  const proof: ProofLine[] = [];
  await context.story.step('proof', 'The books and the chain say the same', async (step) => {
    await mineToFinality(context);
    const own = new Set([context.found.hotAddress, context.found.depositAddress].map((a) => a.toLowerCase()));
    const { books } = await context.api.call<{ books: Books[] }>('auditor', 'GET', '/v1/books');
    const book = books.find((line) => line.asset === asset);
    assertThat(book !== undefined, 'the books know the asset');
    const block = await context.node.height('finalized');
    assertThat(book.height <= block, 'the books are not ahead of what is final');
    const holdings = await Promise.all(
      [...own].map(async (address) => await context.node.balance(address, block)),
    );
    const onChain = holdings.reduce((sum, units) => sum + units, 0n);
    const unposted = await netEffect(context, own, { from: book.height, to: block });
    const owed = BigInt(book.customers) + BigInt(book.house) + BigInt(book.suspense);
    const difference = onChain - owed - unposted;
    accounts.push(...(await readAccounts(context)));
    proof.push({
      asset,
      block,
      customers: book.customers,
      house: book.house,
      suspense: book.suspense,
      onChain: onChain.toString(),
      unposted: unposted.toString(),
      difference: difference.toString(),
    });
    const rows = [
      ['account', 'balance', 'pending'],
      ...accounts.map((line) => [line.account, line.balance, line.pending]),
    ];
    for (const line of formatTable(rows).split('\n')) step.say(line);
    step.say('');
    step.say(`on chain at final block ${block}   ${onChain.toString()}`);
    step.say(`customers                    ${book.customers}`);
    step.say(`house                        ${book.house}`);
    step.say(`suspense                     ${book.suspense}`);
    step.say(`unposted (${book.height}, ${block}]           ${unposted.toString()}`);
    step.fact('difference', difference.toString());
    assertThat(difference === 0n, 'the books and the chain differ');
  });
  return { accounts, proof };
}
