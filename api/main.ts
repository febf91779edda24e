/**
 * The api process: `api --config FILE`.
 *
 * It has no coordinator: it derives deposit addresses itself from the co-signers' verified statements, and can hold funds and
 * store approvals, never sign a transaction.
 */
import { parseArgs } from 'node:util';
import type { Chains } from '#chains';
import { messageOf } from '#core/errors';
import { chainId } from '#core/money';
import { createCustody } from '#custody';
import { loadConfig } from '#infra/config';
import { createLogger } from '#infra/log';
import { createOperations, openDeps, readCommittee, readServiceKey } from '#workflows';
import { createAuthenticate, readTokensFile } from './auth.ts';
import { type ApiConfig, apiConfigSchema } from './config.ts';
import { reachEngine } from './engine.ts';
import { createApiKeys } from './keys/store.ts';
import type { AssetView } from './routes/assets.ts';
import { buildServer } from './server.ts';
import { attachStream, type StreamNotice } from './stream/index.ts';
import { createTradingAuth } from './trading-auth.ts';

const log = createLogger('api');

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { config: { type: 'string' } } });
  const config = apiConfigSchema.parse(
    loadConfig(apiConfigSchema, {
      ...(values.config === undefined ? {} : { file: values.config }),
      env: process.env,
    }),
  );
  const committee = readCommittee(config.committeeFile);
  const opened = openDeps(config, {
    applicationName: 'api',
    withdrawalSigner: readServiceKey(config.withdrawalKey),
    custody: ({ pool, chains }) =>
      createCustody({
        pool,
        committee,
        dev: config.dev,
        addressOfPublicKey: (chain) => (publicKey) =>
          chains.adapter(chainId(chain)).addressOfPublicKey(publicKey),
      }),
  });
  const { clock, ledger, chains } = opened.deps;
  const authenticate = createAuthenticate(readTokensFile(config.tokensFile));
  const keys = createApiKeys({ pool: opened.pool });
  const auth = createTradingAuth({ authenticate, keys, clock });
  const assets = assetsOf(config, chains);
  const decimals = new Map(assets.map((each): [string, number] => [each.asset, each.decimals]));
  const engine =
    config.engine === undefined
      ? undefined
      : reachEngine(config.engine, { pool: opened.pool, ledger, clock, decimals, log });
  const server = await buildServer({
    operations: createOperations(opened.deps),
    authenticate,
    keys,
    auth,
    trading: engine?.trading,
    assets,
    logger: log,
    trustedProxies: config.trustedProxies,
    probes: {
      database: async () => {
        await opened.pool.query('SELECT 1');
      },
      wallets: async () => {
        for (const { id } of opened.deps.wallets) await opened.deps.custody.hotAddress(id);
      },
      ...(engine === undefined ? {} : { engine: engine.probe }),
    },
  });
  const stream =
    engine === undefined
      ? undefined
      : attachStream(server.server, {
          trading: engine.trading,
          auth,
          strangers: server.upgradeLimits,
          onNotice: logStream,
        });
  await server.listen(config.listen);
  log.info({ ...config.listen }, 'api.listening');
  stopOnSignal(async () => {
    // Who asks first, then what they asked of.
    await stream?.close();
    await server.close();
    await engine?.close();
    await opened.close();
  });
}

function assetsOf(config: ApiConfig, chains: Pick<Chains, 'list'>): AssetView[] {
  return [
    ...chains.list.flatMap((adapter) =>
      adapter.assets.map((asset) => ({ asset, chain: adapter.chain, decimals: adapter.decimalsOf(asset) })),
    ),
    ...config.ledgerAssets.map(({ asset, decimals }) => ({ asset, chain: null, decimals })),
  ];
}

function stopOnSignal(stop: () => Promise<void>): void {
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.once(signal, () => {
      log.info({ signal }, 'api.stopping');
      stop().then(
        () => process.exit(0),
        () => process.exit(1),
      );
    });
}

function logStream(notice: StreamNotice): void {
  const { kind, ...details } = notice;
  if (kind === 'failed') log.error({ err: notice.error, requestId: notice.requestId }, 'stream.failed');
  else log.info(details, `stream.${kind}`);
}

main().catch((error: unknown) => {
  log.fatal({ err: error }, 'api.failed');
  process.stderr.write(`api did not start: ${messageOf(error)}\n`);
  process.exit(1);
});
