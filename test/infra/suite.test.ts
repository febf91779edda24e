import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { apiProcess, engineProcess, type SuiteSettings, workerProcess } from '../../infra/dev/suite.ts';
import { ensureSuiteFiles } from '../../infra/dev/suite-files.ts';
import { parseEngineConfig } from '../../matching/config.ts';
import { engineProcessConfigSchema, readEngineConfig, readLinkToken } from '../../matching/process/config.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'suite-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});
const files = ensureSuiteFiles(folder, 1);
const settings: SuiteSettings = {
  files,
  addresses: {
    dataFolder: '/data',
    postgresUrl: 'postgres://127.0.0.1/strongroom',
    temporalAddress: '127.0.0.1:7233',
    temporalNamespace: 'strongroom',
    anvilUrl: 'http://127.0.0.1:8545',
    anvilChainId: 31_337,
    signerPort: 7301,
    signerCount: 1,
    workerHealthPort: 7100,
    apiPort: 7000,
    enginePort: 7200,
  },
};

test('a restart has the same engine configuration and link token, readable by the owner only', () => {
  const before = [files.engineConfigFile, files.engineLinkTokenFile].map((file) =>
    readFileSync(file, 'utf8'),
  );
  const again = ensureSuiteFiles(folder, 1);
  expect(
    [again.engineConfigFile, again.engineLinkTokenFile].map((file) => readFileSync(file, 'utf8')),
  ).toEqual(before);
  expect(readLinkToken(files.engineLinkTokenFile)).toMatch(/^[A-Za-z0-9_-]{43}$/);
  expect(statSync(files.engineLinkTokenFile).mode & 0o777).toBe(0o600);
});

test('in the market of ETH-USD one lot at one tick is one unit of a dollar', () => {
  const config = readEngineConfig(files.engineConfigFile);
  expect(parseEngineConfig(config)).toEqual(config);
  const [market] = config.markets;
  const [ether, usd] = config.assets;
  expect(market).toMatchObject({ id: 'ETH-USD', base: 0, quote: 1, tickUnits: 1, state: 'open' });
  expect(ether).toEqual({ id: 'eip155:31337/slip44:60', unitExponent: 9 });
  expect(usd).toEqual({ id: 'ledger:usd', unitExponent: 0 });
  // 0.0001 ETH in gwei; 10,000 USD per ETH in cents.
  expect(market?.lotUnits).toBe(100_000);
  expect(market?.maxPrice).toBe(1_000_000);
  // 0.0001 ETH at 0.01 USD per ETH is 0.000001 USD: one millionth, as the api counts dollars.
  const { ledgerAssets } = apiProcess(settings).config;
  expect(ledgerAssets).toEqual([{ asset: 'ledger:usd', decimals: 6 }]);
  expect(workerProcess(settings).config['ledgerAssets']).toEqual(ledgerAssets);
});

test('the api is told what the engine is told', () => {
  const { config, healthUrl } = engineProcess(settings);
  const engine = engineProcessConfigSchema.strict().parse(config);
  expect(healthUrl).toBe(`http://127.0.0.1:${engine.healthPort}/health`);
  expect(engine.healthPort).toBe(engine.link.port + 1);
  expect(apiProcess(settings).config['engine']).toEqual({
    url: `ws://${engine.link.host}:${engine.link.port}`,
    tokenFile: engine.link.tokenFile,
    configFile: engine.engineConfigFile,
    name: engine.engineName,
  });
});

test('an api without its engine is up, and so is an engine that takes cancels only; one that does not serve is not', () => {
  const api = apiProcess(settings).isUp;
  expect(api?.({ ok: false, parts: { database: 'ok', wallets: 'ok', engine: 'down' } })).toBe(true);
  expect(api?.('Bad Gateway')).toBe(false);
  const engine = engineProcess(settings).isUp;
  const page = (journal: boolean) => ({
    ok: false,
    role: 'primary',
    parts: { journal: { ok: journal }, settlement: { ok: false } },
  });
  expect([engine?.(page(true)), engine?.(page(false)), engine?.({})]).toEqual([true, false, false]);
  // Nothing that a worker does is of use before it is ready.
  expect(workerProcess(settings).isUp).toBeUndefined();
});
