import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { amount } from '#core/money';
import { openPool, type Pool } from '#infra/db';
import { createLedger, type Ledger } from '#ledger';
import {
  type AccountPath,
  chainDeposit,
  chainHot,
  customerMain,
  houseEquity,
  houseNetworkFee,
  suspense,
  type TransferCommand,
  type TransferKind,
} from '#ledger/contract';
import { databaseForThisFile } from '../support/database.ts';
import { accountOf, ether, gold, post, transferOf, walletOf } from './fixture.ts';
import { LedgerModel } from './model.ts';

let pool: Pool;
let ledger: Ledger;
beforeAll(async () => {
  pool = openPool({ connectionString: await databaseForThisFile(), applicationName: 'test-ledger-model' });
  ledger = createLedger({ pool });
});
afterAll(async () => {
  await pool.end();
});

/** One wallet and two customers of the run; the last three are never opened. */
const pathsOf = (run: number): AccountPath[] => [
  customerMain(accountOf(`${run} a`)),
  customerMain(accountOf(`${run} b`)),
  chainDeposit(walletOf(run)),
  chainHot(walletOf(run)),
  suspense(walletOf(run)),
  houseEquity,
  houseNetworkFee,
  customerMain(accountOf(`${run} unknown`)),
];
const idsOfRun = 12; // few, so that ids, holds and conflicts meet
const index = (below: number) => fc.nat({ max: below - 1 });

const pathIndex = fc.oneof({ weight: 9, arbitrary: index(5) }, { weight: 1, arbitrary: index(8) });

/** Indices instead of names: the names are those of the run. */
const commandShape = fc.record({
  id: index(idsOfRun),
  kind: fc.constantFrom(
    'post' as const,
    'pending' as const,
    'pending' as const,
    'post-pending' as const,
    'void-pending' as const,
  ),
  debit: pathIndex,
  credit: pathIndex,
  units: fc.bigInt({ min: 0n, max: 12n }),
  isGold: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  pendingId: index(idsOfRun),
  linked: fc.integer({ min: 0, max: 3 }).map((n) => n === 0),
  /** Sends an earlier command of the run again instead. */
  repeats: fc.option(fc.nat({ max: 30 }), { freq: 4, nil: undefined }),
});
type Shape = typeof commandShape extends fc.Arbitrary<infer T> ? T : never;

function commandOf(shape: Shape, run: number): TransferCommand {
  const paths = pathsOf(run);
  const base = {
    id: transferOf(`${run} ${shape.id}`),
    code: 'inflow',
    reference: `run-${run}`,
    linked: shape.linked,
  } as const;
  const value = amount(shape.isGold ? gold : ether, shape.units);
  const pendingId = transferOf(`${run} ${shape.pendingId}`);
  switch (shape.kind) {
    case 'post-pending':
      return { ...base, kind: shape.kind, pendingId, amount: value };
    case 'void-pending':
      return { ...base, kind: shape.kind, pendingId };
    case 'post':
    case 'pending': {
      const [debit = houseEquity, credit = houseEquity] = [paths[shape.debit], paths[shape.credit]];
      return { ...base, kind: shape.kind, debit, credit, amount: value };
    }
  }
}

/** Something to spend: from the customers' accounts in both assets, and on the hot mirror. */
function fundOf(run: number): TransferCommand[] {
  const [a, b] = [customerMain(accountOf(`${run} a`)), customerMain(accountOf(`${run} b`))];
  const [hot, source] = [chainHot(walletOf(run)), suspense(walletOf(run))];
  return [
    post(source, a, 15n),
    post(source, b, 15n),
    post(source, b, 9n, { asset: gold }),
    post(hot, source, 20n),
  ];
}

test('any batches give the results and balances of the plain model', { timeout: 60_000 }, async () => {
  let run = 0;
  const seen = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(commandShape, { minLength: 1, maxLength: 14 }), { minLength: 1, maxLength: 5 }),
      async (batches) => {
        run++;
        const model = new LedgerModel();
        // House accounts exist once for all runs, so here they are left unopened, like the stranger.
        const assets = [gold, ether] as const;
        const isolated = pathsOf(run).slice(0, -3);
        await ledger.openAccounts(
          pool,
          isolated.flatMap((path) => assets.map((asset) => ({ path, asset }))),
        );
        for (const path of isolated) for (const asset of assets) model.open(path, asset);
        const fund = fundOf(run);
        expect((await ledger.apply(fund)).map(({ status }) => status)).toEqual(model.apply(fund));
        const sent: TransferCommand[] = [];
        for (const shapes of batches) {
          const commands = shapes.map((shape) => {
            const earlier = shape.repeats === undefined ? undefined : sent[shape.repeats];
            const command = earlier ?? commandOf(shape, run);
            sent.push(command);
            return command;
          });
          const expected = model.apply(commands);
          const results = (await ledger.apply(commands)).map(({ status }) => status);
          expect(results).toEqual(expected);
          for (const status of results) seen.set(status, (seen.get(status) ?? 0) + 1);
        }
        const stored = await ledger.balances({ paths: isolated });
        expect(stored).toHaveLength(isolated.length * assets.length);
        for (const { path, asset, debitsPending, debitsPosted, creditsPending, creditsPosted } of stored)
          expect({ debitsPending, debitsPosted, creditsPending, creditsPosted }).toEqual(
            model.account(path, asset),
          );
      },
    ),
    { numRuns: 150 },
  );
  expect(await ledger.verify()).toEqual({ ok: true, problems: [] });
  // The property means something only if every outcome occurred.
  expect([...seen.keys()].sort()).toEqual(
    [
      'amount-exceeds-pending',
      'conflict',
      'exists',
      'insufficient',
      'invalid',
      'linked-failed',
      'ok',
      'pending-not-found',
      'pending-resolved',
      'unknown-account',
    ].sort(),
  );
});
