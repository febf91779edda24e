/**
 * Threshold signatures through three co-signer processes, from the request to the verified signature with all checks on,
 * beside the raw engine: two parties in worker threads of this process, no network, no checks, no store. Both take turns
 * in the same run, so that a busy machine slows both alike.
 *
 * Not measured: several signatures at once, a network between the co-signers, a slow disk.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createCoordinator } from '#custody';
import { createLogger } from '#infra/log';
import { createDkls23Engine } from '#mpc';
import type { EcdsaSignature, EngineSession, ThresholdEcdsaEngine } from '#mpc/contract';
import { clock, hotPath, prepareCoSigners, random } from '../test/support/co-signers.ts';
import { fixtureShares } from '../test/support/mpc-shares.ts';
import { benchArguments, benchRow, machineConditions, publishReport, quantile, ratio } from './report.ts';

const samples = { quick: 60, full: 300 } as const;
/** The module's code is compiled to its fast form during the first ones. */
const warmUps = { quick: 12, full: 30 } as const;
/** A quick run ends here even on a busy machine; the samples taken until then are reported. */
const quickSamplingMs = 20_000;
const pairs = [
  [1, 2],
  [1, 3],
  [2, 3],
] as const;

interface RawParty {
  readonly party: number;
  readonly engine: ThresholdEcdsaEngine;
  readonly share: Uint8Array;
}

/** One signature by two engines that hand their messages to each other directly. */
async function signRaw(parties: readonly RawParty[]): Promise<void> {
  const digest = randomBytes(32);
  const signId = randomBytes(32);
  const signers = parties.map(({ party }) => party);
  const sessions: EngineSession<EcdsaSignature>[] = await Promise.all(
    parties.map(
      async ({ engine, share }) =>
        await engine.newSigning({ share: share.slice(), path: hotPath, digest, signId, signers }),
    ),
  );
  let sent = sessions.map((session) => session.messages);
  for (;;) {
    const steps = await Promise.all(
      sessions.map(async (session, me) => {
        const other = 1 - me;
        const inbox = (sent[other] ?? []).map(({ to, payload }) => ({
          from: signers[other] ?? 0,
          broadcast: to === 0,
          payload,
        }));
        return await session.step(inbox);
      }),
    );
    if (steps.every((step) => step.state === 'done')) return;
    sent = steps.map((step) => (step.state === 'more' ? step.messages : []));
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

const args = benchArguments();
const size = args.quick ? 'quick' : 'full';
const folder = mkdtempSync(path.join(os.tmpdir(), 'strongroom-bench-sign-'));
const coSigners = await prepareCoSigners({ folder, shares: 'fixture' });
const engines = await Promise.all(
  [1, 2, 3].map(async () => await createDkls23Engine({ threads: 1, acceptUnaudited: true, dev: true })),
);
try {
  await coSigners.startAll();
  const coordinator = createCoordinator({
    committee: coSigners.committee,
    log: createLogger('bench', { level: 'error' }),
    clock,
    random,
    dev: true,
  });
  const fixture = fixtureShares();
  const rawParties = fixture.shares.map((share, at) => {
    const engine = engines[at];
    if (engine === undefined) throw new Error('an engine is missing');
    return { party: at + 1, engine, share };
  });
  const endToEnd: number[] = [];
  const raw: number[] = [];
  const deadline = args.quick ? performance.now() + quickSamplingMs : Number.POSITIVE_INFINITY;
  for (let n = 0; n < warmUps[size] + samples[size]; n += 1) {
    if (performance.now() > deadline && endToEnd.length > 0) break;
    const pair = pairs[n % pairs.length] ?? pairs[0];
    const order = coSigners.order();
    const through = await timed(async () => await coordinator.sign(order));
    const direct = await timed(async () => {
      await signRaw(rawParties.filter(({ party }) => pair.some((member) => member === party)));
    });
    if (n < warmUps[size]) continue;
    endToEnd.push(through);
    raw.push(direct);
  }
  coordinator.close();
  const row = (subject: string, latenciesMs: readonly number[]) => {
    const elapsedMs = latenciesMs.reduce((total, each) => total + each, 0);
    return benchRow(subject, '2-of-3 signature, one at a time', {
      operations: latenciesMs.length,
      elapsedMs,
      latenciesMs,
    });
  };
  const rounded = (value: number): number => Math.round(value * 100) / 100;
  publishReport(
    {
      bench: 'sign',
      conditions: {
        ...machineConditions(),
        samples: endToEnd.length,
        engine: engines[0]?.name ?? '',
        endToEndP95Ms: rounded(quantile(endToEnd, 0.95)),
        rawP95Ms: rounded(quantile(raw, 0.95)),
        notMeasured: 'concurrent signatures, a network between the co-signers, DKG',
      },
      rows: [row('three co-signer processes', endToEnd), row('raw module in threads', raw)],
      ratios: {
        endToEndOverRaw: ratio(quantile(endToEnd, 0.5), quantile(raw, 0.5)),
        endToEndOverRawP95: ratio(quantile(endToEnd, 0.95), quantile(raw, 0.95)),
      },
    },
    args.jsonFile,
  );
} finally {
  await coSigners.stopAll();
  await Promise.all(
    engines.map(async (engine) => {
      await engine.close();
    }),
  );
  rmSync(folder, { recursive: true, force: true });
}
