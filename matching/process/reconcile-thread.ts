/** The comparison in a thread of its own, with an engine and a connection of its own: nobody who trades waits for it. */
import { parentPort, workerData } from 'node:worker_threads';
import { isStrongroomError, messageOf } from '#core/errors';
import { openPool } from '#infra/db';
import { createLedger, readEventsOfCodes } from '#ledger';
import type { EngineConfig } from '../config.ts';
import { engineAssets, type Reconciliation, reconcile } from '../settlement/index.ts';
import { TrailingEngine } from './trailing-engine.ts';

export interface ReconcileThreadData {
  readonly databaseUrl: string;
  readonly folder: string;
  readonly config: EngineConfig;
  readonly engine: { readonly no: number; readonly name: string };
}
export type FromReconcileThread =
  | ({ readonly kind: 'compared' } & Reconciliation)
  | { readonly kind: 'failed'; readonly code: string | undefined; readonly message: string };

const { databaseUrl, folder, config, engine } = workerData as ReconcileThreadData;
const pool = openPool({
  connectionString: databaseUrl,
  applicationName: 'engine-reconcile',
  connectionsMax: 1,
});
const options = {
  pool,
  engine: { ...engine, config, assets: engineAssets(config) },
  ledger: createLedger({ pool }),
  readEventsOfCodes,
};
let trailing: TrailingEngine | undefined;

async function compare(): Promise<FromReconcileThread> {
  try {
    const compared = await reconcile(options, (head) => {
      // A database that was restored is behind us.
      if (trailing === undefined || trailing.seq > head.seq)
        trailing = new TrailingEngine({ folder, config, at: head });
      trailing.advanceTo(head.seq);
      return trailing;
    });
    return { kind: 'compared', ...compared };
  } catch (error) {
    const code = isStrongroomError(error) ? error.code : undefined;
    // Another time from a snapshot, for segments it needed may have been removed.
    if (code !== 'MATCHING_RECONCILE_ELSEWHERE') trailing = undefined;
    return { kind: 'failed', code, message: messageOf(error) };
  }
}

// One question, one answer; the other end asks again only then.
parentPort?.on('message', () => {
  void compare().then((answer) => parentPort?.postMessage(answer));
});
