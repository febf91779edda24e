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
  /** @throws TRADING_UNAVAILABLE when there is no connection, or it is another engine */
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
  let otherName: string | undefined;
  let lastProblem = '';
  const link = connectLink({
    url: engine.url,
    token: readToken(engine.tokenFile),
    config,
    onNotice,
  });
  function onNotice(notice: LinkNotice): void {
    const problem = 'problem' in notice ? notice.problem : '';
    // One that is away is tried again all the time, and told once.
    log[problem === '' ? 'info' : problem === lastProblem ? 'debug' : 'warn'](
      { notice },
      `engine.${notice.kind}`,
    );
    lastProblem = problem;
    if (notice.kind !== 'connected' || link.engineName === engine.name) return;
    // Trades of another engine are other trades: better none.
    otherName = link.engineName;
    log.error({ name: otherName, wanted: engine.name }, 'engine.another');
    link.close().catch((error: unknown) => log.error({ err: error }, 'engine.close'));
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
      if (otherName !== undefined)
        throw fail(
          'TRADING_UNAVAILABLE',
          `this was the engine ${otherName}, not ${engine.name}: restart the api`,
        );
      if (!link.state().connected) throw fail('TRADING_UNAVAILABLE', 'the engine is not connected');
      trading.markets();
      await Promise.resolve();
    },
    close: async () => {
      await trading.close();
      await link.close();
    },
  };
}
