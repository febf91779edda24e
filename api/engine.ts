/**
 * The engine as the api reaches it. The connection is made beside the start, and again whenever it is lost: an engine that is away
 * stops trading, never the api.
 */
import { readFileSync } from 'node:fs';
import { errorsOf, messageOf } from '#core/errors';
import type { Clock } from '#core/ports';
import { loadConfig } from '#infra/config';
import { infraErrors } from '#infra/contract';
import type { Pool } from '#infra/db';
import type { Logger } from '#infra/log';
import type { Ledger } from '#ledger';
import { engineConfigSchema, parseEngineConfig } from '#matching/contract';
import { connectLink, type LinkNotice } from '#matching/link';
import { createTrading, type Trading } from '#matching/trading';
import { tradingErrors } from '#matching/trading/contract';
import type { EngineConnection } from './config.ts';

const fail = errorsOf({ ...infraErrors, ...tradingErrors });

export interface ReachedEngine {
  readonly trading: Trading;
  /** @throws TRADING_UNAVAILABLE with why: no connection, another engine, or a defect of ours that a restart of the api ends */
  readonly probe: () => Promise<void>;
  readonly close: () => Promise<void>;
}
export interface EngineDeps {
  readonly pool: Pool;
  readonly ledger: Ledger;
  readonly clock: Clock;
  /** By asset: those of the chains, and those of our books only. */
  readonly decimals: ReadonlyMap<string, number>;
  readonly log: Logger;
}

/** The content never reaches a message. @throws INFRA_CONFIG_INVALID */
function readToken(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw fail('INFRA_CONFIG_INVALID', `${file} cannot be read: ${messageOf(error)}`, { file }, error);
  }
}

/** @throws INFRA_CONFIG_INVALID, MATCHING_CONFIG_INVALID: of its files; never because the engine is away */
export function reachEngine(engine: EngineConnection, deps: EngineDeps): ReachedEngine {
  const { pool, ledger, clock, decimals, log } = deps;
  const config = parseEngineConfig(loadConfig(engineConfigSchema, { file: engine.configFile }));
  const unknown = config.assets.filter(({ id }) => !decimals.has(id)).map(({ id }) => id);
  if (unknown.length > 0)
    throw fail(
      'INFRA_CONFIG_INVALID',
      `assets of the engine that are in no chain and not in ledgerAssets: ${unknown.join(', ')}`,
      {
        unknown,
      },
    );
  let lastProblem = '';
  let defect: string | undefined;
  const link = connectLink({
    url: engine.url,
    token: readToken(engine.tokenFile),
    config,
    // Trades of another engine are other trades: better none. It is refused before anything of it is taken, and one of another
    // history has its view thrown away, so trading recovers by itself, from a new snapshot, as soon as the right one answers.
    engineName: engine.name,
    onNotice: (notice) => {
      if (notice.kind === 'listener-failed') defect = notice.problem;
      tell(notice);
    },
  });
  function tell(notice: LinkNotice): void {
    const problem = 'problem' in notice ? notice.problem : '';
    const level = notice.kind === 'listener-failed' ? 'error' : problem === '' ? 'info' : 'warn';
    // One that is away is tried again all the time, and told once.
    log[problem !== '' && problem === lastProblem ? 'debug' : level]({ notice }, `engine.${notice.kind}`);
    lastProblem = problem;
  }
  const trading = createTrading({
    pool,
    ledger,
    link,
    clock,
    decimalsOf: (asset) => decimals.get(asset) ?? 0,
    onProblem: (error) => log.warn({ err: error }, 'trading.problem'),
  });
  return {
    trading,
    probe: async () => {
      // What is heard of the engine is not told any more, and nothing here knows from where on.
      if (defect !== undefined)
        throw fail('TRADING_UNAVAILABLE', `a defect stopped the feed, restart the api: ${defect}`);
      const { connected, problem = 'it was not reached yet' } = link.state();
      if (!connected) throw fail('TRADING_UNAVAILABLE', `the engine is not connected: ${problem}`);
      trading.markets();
      await Promise.resolve();
    },
    close: async () => {
      await trading.close();
      await link.close();
    },
  };
}
