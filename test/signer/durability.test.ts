/** The co-signer's own store: what was acknowledged survives kill -9, and what was changed outside is found. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { hashJson } from '#core/canonical-json';
import { openSpendCounters } from '../../custody/signer/checks/spend-counters.ts';
import { type DecisionRecord, openDecisionLog } from '../../custody/signer/decision-log.ts';
import { openSignerStore, type SignerStore } from '../../custody/signer/store.ts';
import { closeFixtures, openFixture, temporaryFolder, verdict } from './fixture.ts';

afterEach(closeFixtures);
const clock = { nowMs: () => 1000 };

async function edit(dataDir: string, action: (store: SignerStore) => void): Promise<void> {
  const store = openSignerStore(dataDir);
  store.transact(() => action(store));
  await store.close();
}

describe('kill -9 during commits', () => {
  it('loses nothing that was acknowledged', { timeout: 60_000 }, async () => {
    const script = new URL('./commit-until-killed.ts', import.meta.url).pathname;
    const child = spawn(process.execPath, ['--import', 'tsx', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines: string[] = [];
    const wanted = 40;
    for await (const line of createInterface({ input: child.stdout })) {
      lines.push(line);
      // Killed wherever it happens to be in the next commit; what it still wrote to the pipe is read to the end.
      if (lines.length === wanted) child.kill('SIGKILL');
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    expect(child.signalCode).toBe('SIGKILL');
    expect(lines.length).toBeGreaterThanOrEqual(wanted);
    const [{ dataDir } = { dataDir: '' }, ...acknowledged] = lines.map(
      (line) => JSON.parse(line) as { dataDir: string; intentId: string },
    );
    const store = openSignerStore(dataDir);
    // Opening verifies the whole chain.
    const log = openDecisionLog(store, clock);
    const committed = new Set(
      [...log.records()].filter(({ kind }) => kind === 'committed').map(({ body }) => body['intentId']),
    );
    const sets = store.table<{ conflictSet: string }>('intent-sets');
    for (const { intentId } of acknowledged) {
      expect(committed).toContain(intentId);
      expect(sets.get(intentId)).toBeDefined();
    }
    // At most the commit that was under way when the signal came is there without having been acknowledged.
    expect(committed.size - acknowledged.length).toBeLessThanOrEqual(1);
    await store.close();
    rmSync(dirname(dataDir), { recursive: true });
  });
});

describe('the decision log', () => {
  async function filled(): Promise<string> {
    const dataDir = temporaryFolder();
    const store = openSignerStore(dataDir);
    const log = openDecisionLog(store, clock);
    for (let i = 0; i < 5; i++) log.append('refused', { i });
    await store.close();
    return dataDir;
  }
  async function openError(dataDir: string): Promise<unknown> {
    const store = openSignerStore(dataDir);
    try {
      openDecisionLog(store, clock);
      return 'opened';
    } catch (error) {
      return error;
    } finally {
      await store.close();
    }
  }
  const records = (store: SignerStore) => store.table<DecisionRecord>('log');
  const at = (store: SignerStore, seq: number): DecisionRecord => {
    const record = records(store).get(seq);
    if (record === undefined) throw new Error(`no record ${seq}`);
    return record;
  };

  it('opens when nothing was changed', async () => {
    expect(await openError(await filled())).toBe('opened');
  });

  it.each<[string, (store: SignerStore) => void, number]>([
    ['a changed record', (store) => records(store).put(2, { ...at(store, 2), body: { i: 9 } }), 3],
    ['a changed time', (store) => records(store).put(2, { ...at(store, 2), at: 1001 }), 3],
    ['a removed record', (store) => records(store).remove(2), 2],
    ['a removed first record', (store) => records(store).remove(0), 0],
    ['a removed end', (store) => records(store).remove(4), 4],
    ['a changed end', (store) => records(store).put(4, { ...at(store, 4), body: {} }), 4],
    ['an added end', (store) => records(store).put(5, { ...at(store, 4), seq: 5 }), 5],
    [
      'two exchanged records',
      (store) => {
        const [a, b] = [at(store, 1), at(store, 2)];
        records(store).put(1, { ...b, seq: 1 });
        records(store).put(2, { ...a, seq: 2 });
      },
      1,
    ],
  ])('finds %s', async (_title, change, seq) => {
    const dataDir = await filled();
    await edit(dataDir, change);
    expect(await openError(dataDir)).toMatchObject({ code: 'CUSTODY_STORE_CORRUPT', details: { seq } });
  });

  it('stops a running co-signer whose last record was changed', async () => {
    const fixture = openFixture();
    const seq = fixture.coSigner.decisionLog.head()?.seq ?? 0;
    await edit(fixture.dataDir, (store) => records(store).put(seq, { ...at(store, seq), kind: 'refused' }));
    await expect(fixture.sign(fixture.payment())).rejects.toMatchObject({ code: 'CUSTODY_STORE_CORRUPT' });
  });

  it('never goes back in time, also when the clock does', async () => {
    const store = openSignerStore(temporaryFolder());
    let now = 5000;
    const log = openDecisionLog(store, { nowMs: () => now });
    log.append('refused', {});
    now = 10;
    expect(log.append('refused', {}).at).toBe(5000);
    await store.close();
  });
});

describe('spend counters', () => {
  it('agree with adding up by hand, whatever the clock does', async () => {
    const store = openSignerStore(temporaryFolder());
    const counters = openSpendCounters(store);
    const payments = fc.array(
      fc.record({
        asset: fc.constantFrom('a', 'ab', 'b'),
        units: fc.bigInt(0n, 10n ** 30n),
        stepMs: fc.nat(50),
      }),
      { maxLength: 30 },
    );
    let run = 0;
    fc.assert(
      fc.property(payments, fc.nat(1500), (list, windowMs) => {
        run += 1;
        const name = (asset: string) => `${asset}-${run}`;
        let now = 1000;
        const entries = list.map(({ asset, units, stepMs }, index) => {
          now += stepMs;
          const hash = hashJson([run, index]);
          store.transact(() => counters.count(hash, name(asset), units, now));
          expect(counters.isCounted(hash)).toBe(true);
          return { asset, units, at: now };
        });
        for (const asset of ['a', 'ab', 'b']) {
          const since = now - windowMs;
          const inWindow = entries.filter((entry) => entry.asset === asset && entry.at > since);
          expect(counters.total(name(asset), since)).toBe(
            inWindow.reduce((sum, { units }) => sum + units, 0n),
          );
        }
      }),
      { numRuns: 25 },
    );
    // A clock that stepped back opens no window: what was spent stays counted where it was.
    store.transact(() => counters.count(hashJson('late'), 'c', 5n, 9000));
    store.transact(() => counters.count(hashJson('back'), 'c', 7n, 100));
    expect(counters.total('c', 8999)).toBe(12n);
    await store.close();
  });
});

describe('the store', () => {
  it('undoes a transaction that throws, the inner ones with it', async () => {
    const store = openSignerStore(temporaryFolder());
    const table = store.table<{ n: number }>('meta');
    const failing = () =>
      store.transact(() => {
        store.transact(() => table.put('inner', { n: 1 }));
        throw new Error('stop');
      });
    expect(failing).toThrow('stop');
    expect(table.get('inner')).toBeUndefined();
    expect(() => table.put('outside', { n: 1 })).toThrow(/outside a transaction/);
    await store.close();
  });

  it('keeps spends, conflict sets and sign ids over a restart', async () => {
    const fixture = openFixture();
    const payment = fixture.payment();
    expect(verdict(await fixture.sign(payment))).toBe('ok');
    const log = [...fixture.coSigner.decisionLog.records()];
    const restarted = await fixture.reopen();
    expect([...restarted.coSigner.decisionLog.records()].slice(0, log.length)).toEqual(log);
    const committed = log.find(({ kind }) => kind === 'committed');
    expect(restarted.coSigner.guard.consume(String(committed?.body['signId']))).toBe(false);
  });
});
