/** A desk whose engine is fed and settled while the test goes on, and what its customers have where. */
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { derivedId, type Id } from '#core/ids';
import type { AssetId } from '#core/money';
import type { Pool } from '#infra/db';
import { readEventsOfCodes } from '#ledger';
import { customerMain, customerSpot } from '#ledger/contract';
import type { EngineConfig } from '../../../matching/config.ts';
import { reconcile, verifySettlement } from '../../../matching/settlement/index.ts';
import type { SpotTransfer } from '../../../matching/trading/contract.ts';
import {
  createSpotTransfers,
  type SpotContext,
  type SpotOperations,
} from '../../../matching/trading/spot-transfers.ts';
import { usd } from '../settlement/fixture.ts';
import { alice, type Desk, openDesk } from './desk.ts';

/** Quick to give up. */
export const oneLook = [0];

export interface SpotDesk extends Desk {
  nowMs: number;
  /** As another process would have them. */
  operations(changes?: Partial<SpotContext>): SpotOperations;
  /** What came from the ledger is fed; what the engine did is settled. */
  turn(): Promise<void>;
  /** The same again and again until `stop`. */
  keepTurning(): { readonly stop: () => Promise<void> };
  /** Base units in main and in spot, as the ledger has them. */
  balancesOf(accountId: Id<'acc'>, asset?: AssetId): Promise<readonly [main: bigint, spot: bigint]>;
  /** Ledger and engine say the same. */
  expectEqual(): Promise<void>;
}

let transfers = 0;
export const transfer = (changes: Partial<SpotTransfer> = {}): SpotTransfer => ({
  id: derivedId('spt', `transfer ${++transfers}`),
  accountId: alice,
  asset: usd,
  units: '1000000',
  direction: 'to-spot',
  ...changes,
});

export async function openSpotDesk(pool: Pool, name: string, config?: EngineConfig): Promise<SpotDesk> {
  const desk = await openDesk(pool, name, config);
  const { exchange, link, settler } = desk;
  const { ledger, engine, sequencer, feed } = exchange;
  const turn = async (): Promise<void> => {
    while ((await feed.step()) > 0);
    await desk.settle();
  };
  const spotDesk: SpotDesk = {
    ...desk,
    nowMs: 1_000_000,
    operations: (changes = {}) =>
      createSpotTransfers({
        pool,
        ledger,
        engine,
        commands: desk.commands,
        accounts: desk.accounts,
        clock: { nowMs: () => spotDesk.nowMs },
        ...changes,
      }),
    turn,
    keepTurning: () => {
      const stopping = new AbortController();
      const turning = (async () => {
        while (!stopping.signal.aborted) {
          await feed.step();
          link.publish();
          await delay(5);
        }
      })();
      return {
        stop: async () => {
          stopping.abort();
          await turning;
        },
      };
    },
    balancesOf: async (accountId, asset = usd) => {
      const paths = [customerMain(accountId), customerSpot(accountId)] as const;
      const found = await ledger.balances({ paths, asset });
      const of = (path: string) => found.find((balance) => balance.path === path)?.balance ?? 0n;
      return [of(paths[0]), of(paths[1])];
    },
    expectEqual: async () => {
      await turn();
      const { differences } = await reconcile({ pool, engine, ledger, readEventsOfCodes }, sequencer.engine);
      expect(differences).toEqual([]);
      expect(await verifySettlement(pool, engine)).toEqual([]);
      expect(settler.stopped).toBeUndefined();
    },
  };
  return spotDesk;
}
