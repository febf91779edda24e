/**
 * The co-signer process.
 *
 *   signer --config FILE [--dev]                    serves until SIGTERM
 *   signer --config FILE [--dev] --print-identity   makes the keys if there are none, prints the public ones
 *   signer --config FILE [--dev] --freeze SCOPE --reason TEXT   sets a freeze flag at this co-signer
 *
 * `--dev` must be on the command line as well as in the file: a file alone cannot turn a co-signer into a weaker one.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { errorsOf, isStrongroomError, messageOf } from '#core/errors';
import type { Clock } from '#core/ports';
import { committeeSchema, custodyErrors, type IdentityAnswer } from '#custody/protocol';
import { armFailpoints } from '#infra/failpoint';
import { createLogger, type Logger } from '#infra/log';
import { createDkls23Engine } from '#mpc';
import type { ThresholdEcdsaEngine } from '#mpc/contract';
import { type CoSigner, openCoSigner } from './co-signer.ts';
import { assertStartAllowed, loadSignerConfig, readDocument, type SignerConfig } from './config.ts';
import { type Identity, openCommittee, openIdentity } from './identity.ts';
import { ledgerHeadRoutes } from './ledger-heads.ts';
import { openSealer } from './sealing.ts';
import { createSignerServer, type SignerOperations } from './server.ts';
import type { SessionContext } from './session-context.ts';
import { KeyCeremonies } from './session-dkg.ts';
import { SigningSessions } from './session-sign.ts';
import { openSignerStore } from './store.ts';

const fail = errorsOf(custodyErrors);
const clock: Clock = { nowMs: () => Date.now() };
const identityFileName = 'identity.json';
/** Idle sessions are looked for this often; the shortest idle limit is 30 s. */
const sweepIntervalMs = 5_000;
/** One answer of /v1/log. */
const logPageRecordsMax = 200;

const identityFile = (config: SignerConfig): string => path.join(config.dataDir, identityFileName);
const publicIdentity = ({ party, signingKey, encryptionKey }: Identity): IdentityAnswer => ({
  party,
  signingKey,
  encryptionKey,
});

async function printIdentity(config: SignerConfig): Promise<void> {
  const store = openSignerStore(config.dataDir);
  try {
    const sealer = openSealer(config, store);
    const identity = openIdentity({ file: identityFile(config), party: config.party, sealer });
    process.stdout.write(`${JSON.stringify(publicIdentity(identity))}\n`);
  } finally {
    await store.close();
  }
}

async function freezeHere(config: SignerConfig, scope: string, reason: string): Promise<void> {
  const coSigner = openCoSigner(config, { clock });
  try {
    process.stdout.write(`${JSON.stringify(coSigner.freezes.freezeLocally(scope, reason))}\n`);
  } finally {
    await coSigner.close();
  }
}

function logPage(coSigner: CoSigner, fromSeq: number): object {
  const records: unknown[] = [];
  for (const record of coSigner.decisionLog.records(fromSeq)) {
    records.push(record);
    if (records.length === logPageRecordsMax) break;
  }
  return { records, head: coSigner.decisionLog.head() ?? null };
}

function operationsOf(
  coSigner: CoSigner,
  identity: Identity,
  engine: ThresholdEcdsaEngine,
  sessions: { readonly signing: SigningSessions; readonly ceremonies: KeyCeremonies },
): SignerOperations {
  const { signing, ceremonies } = sessions;
  const { dev, party } = coSigner.config;
  return {
    health: () => ({
      ok: true,
      party,
      dev,
      engine: engine.name,
      audited: engine.audited,
      sessions: signing.size + ceremonies.size,
    }),
    identity: () => publicIdentity(identity),
    statement: (wallet) => ceremonies.statement(wallet),
    log: (fromSeq) => logPage(coSigner, fromSeq),
    post: {
      '/v1/sign/open': async (body) => await signing.open(body),
      '/v1/sign/start': async (body) => await signing.start(body),
      '/v1/sign/step': async (body) => await signing.step(body),
      '/v1/dkg/open': (body) => ceremonies.open(body),
      '/v1/dkg/start': async (body) => await ceremonies.start(body),
      '/v1/dkg/step': async (body) => await ceremonies.step(body),
      '/v1/dkg/test/start': async (body) => await ceremonies.startTest(body),
      '/v1/dkg/test/step': async (body) => await ceremonies.stepTest(body),
      '/v1/dkg/acknowledge': async (body) => await ceremonies.acknowledge(body),
      '/v1/dkg/activate': (body) => ceremonies.activate(body),
      '/v1/freeze': (body) => coSigner.freezes.apply(body),
      '/v1/bundle': (body) => {
        const { policyHash, rosterHash } = coSigner.pins.activateBundle(body);
        return { policyHash, rosterHash };
      },
      ...ledgerHeadRoutes(coSigner.ledgerHeads, identity),
    },
  };
}

function contextOf(
  coSigner: CoSigner,
  identity: Identity,
  engine: ThresholdEcdsaEngine,
  log: Logger,
): SessionContext {
  const { config, gatekeeper, guard, shares } = coSigner;
  const committee = readDocument(committeeSchema, config.committeeFile);
  return {
    identity,
    committee,
    members: openCommittee(committee, identity),
    engine,
    gatekeeper,
    shares,
    guard,
    wallets: new Set(config.wallets.map((wallet) => wallet.id)),
    dev: config.dev,
    log,
    clock,
    random: { bytes: (length) => randomBytes(length) },
  };
}

/** Serves until a signal asks it to stop; then ends the sessions, the threads and the store, in this order. */
async function serve(config: SignerConfig, log: Logger): Promise<void> {
  const { dev, acceptUnauditedEcdsaEngine: acceptUnaudited, engineThreads: threads, party } = config;
  if (dev) armFailpoints(process.env);
  const engine = await createDkls23Engine({ threads, acceptUnaudited, dev });
  // Whatever engine stands here: the configuration's own word for it is asked again.
  assertStartAllowed(config, engine);
  const coSigner = openCoSigner(config, { clock, logger: log });
  const identity = openIdentity({ file: identityFile(config), party, sealer: coSigner.sealer });
  const context = contextOf(coSigner, identity, engine, log);
  const sessions = { signing: new SigningSessions(context), ceremonies: new KeyCeremonies(context) };
  const server = createSignerServer(operationsOf(coSigner, identity, engine, sessions), log);
  const sweep = setInterval(() => {
    sessions.signing.endIdle();
    sessions.ceremonies.endIdle();
  }, sweepIntervalMs);
  server.listen(config.listen.port, config.listen.host);
  await once(server, 'listening');
  if (!engine.audited)
    log.warn({ engine: engine.name }, 'the threshold-ECDSA engine has had no outside audit');
  log.info({ party, dev, address: server.address() }, 'serving');

  const signal = await new Promise<string>((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, resolve);
  });
  log.info({ signal }, 'stopping');
  clearInterval(sweep);
  server.close();
  server.closeAllConnections();
  sessions.signing.close();
  sessions.ceremonies.close();
  await engine.close();
  await coSigner.close();
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      config: { type: 'string' },
      dev: { type: 'boolean', default: false },
      'print-identity': { type: 'boolean', default: false },
      freeze: { type: 'string' },
      reason: { type: 'string' },
    },
  });
  if (values.config === undefined)
    throw fail('CUSTODY_CONFIG_INVALID', 'usage: signer --config FILE [--dev]');
  const config = loadSignerConfig(path.resolve(values.config));
  if (config.dev !== values.dev)
    throw fail(
      'CUSTODY_CONFIG_INVALID',
      config.dev
        ? `${values.config} asks for a development co-signer: start it with --dev`
        : `--dev was given, but ${values.config} is not for development`,
    );
  if (values['print-identity']) await printIdentity(config);
  else if (values.freeze !== undefined)
    await freezeHere(config, values.freeze, values.reason ?? 'set locally');
  else await serve(config, createLogger(`signer-${config.party}`));
}

try {
  await main();
  process.exitCode = 0;
} catch (error) {
  const code = isStrongroomError(error) ? error.code : 'CUSTODY_SIGNER_FAILED';
  process.stderr.write(`${code}: ${messageOf(error)}\n`);
  process.exitCode = 1;
}
