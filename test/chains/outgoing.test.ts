import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type AttemptId,
  attemptsOf,
  haltScopeOf,
  markBroadcast,
  openOutgoings,
  outgoingOf,
  outgoingOfTransaction,
  recordDead,
  recordFinal,
  recordMined,
  releaseConflictSet,
  reserveConflictSet,
  saveBuilt,
  saveSigned,
  unmine,
} from '#chains';
import type {
  BlockRef,
  ConflictSet,
  FeeQuote,
  SignedTransaction,
  UnsignedTransaction,
} from '#chains/contract';
import { newId } from '#core/ids';
import { liftHalt, setHalt } from '#infra/cases';
import { inTransaction, openPool, type Pool, type Tx } from '#infra/db';
import { unmineBlocks } from '../../chains/store/outgoing.ts';
import { databaseForThisFile } from '../support/database.ts';
import { signUnsigned, type TestKey } from '../support/rlp.ts';
import { devChain, makeAdapter, recipient, testKey } from './setup.ts';

let pool: Pool;
let keys = 400;
// Nothing listens there: only building and attaching are used.
const adapter = makeAdapter('http://127.0.0.1:9');
const fee: FeeQuote = {
  gasLimit: 21_000n,
  maxFeePerGas: 40n,
  maxPriorityFeePerGas: 2n,
  maxCostUnits: 840_000n,
};
const block: BlockRef = {
  height: 10,
  hash: `0x${'a'.repeat(64)}`,
  parentHash: `0x${'b'.repeat(64)}`,
  timeMs: 1000,
};

beforeAll(async () => {
  pool = openPool({ connectionString: await databaseForThisFile(), applicationName: 'test-outgoing' });
});
afterAll(async () => {
  await pool.end();
});

const clock = { nowMs: () => Date.now() };
const random = { bytes: (length: number) => randomBytes(length) };
const attemptId = (): AttemptId => newId('att', clock, random);
const intentId = (): string => newId('int', clock, random);
const run = async <T>(work: (tx: Tx) => Promise<T>): Promise<T> => await inTransaction(pool, work);

interface Wallet {
  readonly key: TestKey;
  readonly address: string;
}
function newWallet(): Wallet {
  const key = testKey(keys++);
  return { key, address: adapter.addressOfPublicKey(key.publicKey) };
}
const reserve = async (wallet: Wallet, intent: string, chainNonce = 0): Promise<ConflictSet> =>
  await run(
    async (tx) =>
      await reserveConflictSet(tx, { chain: devChain, sender: wallet.address, intentId: intent, chainNonce }),
  );
const build = (conflictSet: ConflictSet, units = 5n, gas = fee): UnsignedTransaction =>
  adapter.buildTransfer({ conflictSet, to: recipient, units, fee: gas });
const sign = (wallet: Wallet, unsigned: UnsignedTransaction): SignedTransaction =>
  adapter.attach(unsigned, signUnsigned(wallet.key, unsigned.unsigned));

/** An intent whose first attempt was sent. */
async function sentIntent(): Promise<{
  wallet: Wallet;
  intent: string;
  set: ConflictSet;
  signed: SignedTransaction;
}> {
  const wallet = newWallet();
  const intent = intentId();
  const set = await reserve(wallet, intent);
  const unsigned = build(set);
  const signed = sign(wallet, unsigned);
  const id = attemptId();
  await run(async (tx) => await saveBuilt(tx, { id, intentId: intent, unsigned }));
  await run(async (tx) => await saveSigned(tx, id, signed));
  await run(async (tx) => {
    await markBroadcast(tx, id, { outcome: 'maybe', detail: 'lost' });
  });
  return { wallet, intent, set, signed };
}
const minedAs = (signed: SignedTransaction, at = block) =>
  ({ state: 'mined', txId: signed.txId, block: at, succeeded: true, feeUnits: 7n, final: false }) as const;

describe('reserveConflictSet', () => {
  it('gives 50 concurrent reservations the nonces 0 to 49, without gap or duplicate', async () => {
    const wallet = newWallet();
    const sets = await Promise.all(Array.from({ length: 50 }, async () => await reserve(wallet, intentId())));
    expect(sets.map(({ nonce }) => nonce).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 50 }, (_, i) => i),
    );
  });

  it('gives one intent one nonce, however often and concurrently it asks', async () => {
    const wallet = newWallet();
    const intent = intentId();
    const sets = await Promise.all(Array.from({ length: 20 }, async () => await reserve(wallet, intent)));
    expect(new Set(sets.map(({ nonce }) => nonce))).toEqual(new Set([0]));
    expect((await reserve(wallet, intentId())).nonce).toBe(1);
  });

  it('leaves no gap when reservations are rolled back in between', async () => {
    const wallet = newWallet();
    const outcomes = await Promise.allSettled(
      Array.from(
        { length: 30 },
        async (_, i) =>
          await run(async (tx) => {
            const set = await reserveConflictSet(tx, {
              chain: devChain,
              sender: wallet.address,
              intentId: intentId(),
              chainNonce: 0,
            });
            if (i % 3 === 0) throw new Error('rolled back');
            return set.nonce;
          }),
      ),
    );
    const nonces = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    expect(nonces.sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i));
  });

  it('takes the chain’s count as a floor only', async () => {
    const wallet = newWallet();
    expect((await reserve(wallet, intentId(), 7)).nonce).toBe(7);
    expect((await reserve(wallet, intentId(), 3)).nonce).toBe(8);
  });

  it('refuses an intent that holds a nonce of another address', async () => {
    const intent = intentId();
    await reserve(newWallet(), intent);
    await expect(reserve(newWallet(), intent)).rejects.toMatchObject({ code: 'CHAINS_CONFLICT_SET_TAKEN' });
  });

  it('refuses on a halted chain', async () => {
    const scope = haltScopeOf(devChain);
    await run(async (tx) => {
      await setHalt(tx, { scope, reason: 'test' });
    });
    await expect(reserve(newWallet(), intentId())).rejects.toMatchObject({ code: 'CHAINS_HALTED' });
    await run(async (tx) => await liftHalt(tx, { scope, reason: 'test', people: ['ana', 'ben'] }));
  });
});

describe('releaseConflictSet', () => {
  const release = async (intent: string): Promise<boolean> =>
    await run(async (tx) => await releaseConflictSet(tx, intent));

  it('hands an unused nonce to the next intent, lowest first, and keeps the history', async () => {
    const wallet = newWallet();
    const [first, second, third] = [intentId(), intentId(), intentId()];
    for (const intent of [first, second, third]) await reserve(wallet, intent);
    expect(await release(second)).toBe(true);
    expect(await release(first)).toBe(true);
    expect(await release(first)).toBe(false);
    expect(await outgoingOf(pool, first)).toBeUndefined();
    expect((await reserve(wallet, intentId())).nonce).toBe(0);
    // Asked again, the intent gets what is free now; once.
    expect((await reserve(wallet, first)).nonce).toBe(1);
    expect((await reserve(wallet, first)).nonce).toBe(1);
    expect((await reserve(wallet, intentId())).nonce).toBe(3);
    const { rows } = await pool.query<{ nonce: string; state: string }>(
      'SELECT nonce, state FROM chains.outgoing WHERE sender = $1 ORDER BY id',
      [wallet.address],
    );
    expect(rows.map(({ nonce, state }) => `${nonce} ${state}`)).toEqual([
      '0 released',
      '1 released',
      '2 reserved',
      '0 reserved',
      '1 reserved',
      '3 reserved',
    ]);
    expect(await openOutgoings(pool, devChain, wallet.address)).toHaveLength(4);
  });

  it('gives a released nonce to one of many that ask at once, and the others the next ones', async () => {
    const wallet = newWallet();
    const given = intentId();
    await reserve(wallet, given);
    await release(given);
    const sets = await Promise.all(Array.from({ length: 20 }, async () => await reserve(wallet, intentId())));
    expect(sets.map(({ nonce }) => nonce).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 20 }, (_, i) => i),
    );
  });

  it('does not hand out a released nonce that the chain has used in the meantime', async () => {
    const wallet = newWallet();
    const given = intentId();
    await reserve(wallet, given);
    await release(given);
    expect((await reserve(wallet, intentId(), 1)).nonce).toBe(1);
  });

  it('keeps the nonce of an intent with a stored attempt, also against plain SQL', async () => {
    const wallet = newWallet();
    const intent = intentId();
    const unsigned = build(await reserve(wallet, intent));
    await run(async (tx) => await saveBuilt(tx, { id: attemptId(), intentId: intent, unsigned }));
    expect(await release(intent)).toBe(false);
    expect((await outgoingOf(pool, intent))?.conflictSet.nonce).toBe(0);
    expect((await reserve(wallet, intentId())).nonce).toBe(1);
    expect(await release((await sentIntent()).intent)).toBe(false);
    await expect(
      pool.query(`UPDATE chains.outgoing SET state = 'released' WHERE intent_id = $1`, [intent]),
    ).rejects.toThrow(/has attempts/);
  });

  it('lets either the attempt or the release win when both come at once', async () => {
    for (let round = 0; round < 10; round += 1) {
      const intent = intentId();
      const unsigned = build(await reserve(newWallet(), intent));
      const [saved, released] = await Promise.allSettled([
        run(async (tx) => await saveBuilt(tx, { id: attemptId(), intentId: intent, unsigned })),
        release(intent),
      ]);
      const isReleased = released.status === 'fulfilled' && released.value;
      expect(isReleased).toBe(saved.status === 'rejected');
      expect(await attemptsOf(pool, intent)).toHaveLength(isReleased ? 0 : 1);
    }
  });

  it('leaves a released row as it is, and lets nothing be built for it', async () => {
    const wallet = newWallet();
    const intent = intentId();
    const unsigned = build(await reserve(wallet, intent));
    await release(intent);
    for (const statement of [
      `UPDATE chains.outgoing SET state = 'reserved' WHERE intent_id = $1`,
      'DELETE FROM chains.outgoing WHERE intent_id = $1',
      `INSERT INTO chains.attempt (id, outgoing_id, chain, unsigned, recipient, units, gas_limit, max_fee_per_gas,
         max_priority_fee_per_gas) SELECT 'att_x', id, chain, '02', sender, 1, 1, 1, 1 FROM chains.outgoing
         WHERE intent_id = $1`,
    ])
      await expect(pool.query(statement, [intent])).rejects.toThrow(/released|never deleted/);
    await expect(
      run(async (tx) => await saveBuilt(tx, { id: attemptId(), intentId: intent, unsigned })),
    ).rejects.toThrow(/conflict set of/);
  });
});

describe('attempts', () => {
  it('go from built to signed to broadcast, and are read back as they were written', async () => {
    const { wallet, intent, signed } = await sentIntent();
    const [stored, ...others] = await attemptsOf(pool, intent);
    expect(others).toEqual([]);
    expect(stored).toMatchObject({ state: 'broadcast', outcome: 'maybe', signed });
    expect(stored?.unsigned).toEqual(build({ chain: devChain, sender: wallet.address, nonce: 0 }));
    expect((await outgoingOf(pool, intent))?.state).toBe('broadcast');
    expect((await outgoingOfTransaction(pool, devChain, signed.txId))?.intentId).toBe(intent);
  });

  it('keep the first signature when signing was repeated', async () => {
    const wallet = newWallet();
    const intent = intentId();
    const id = attemptId();
    const unsigned = build(await reserve(wallet, intent));
    await run(async (tx) => await saveBuilt(tx, { id, intentId: intent, unsigned }));
    const first = sign(wallet, unsigned);
    const second = { ...first, txId: `0x${'c'.repeat(64)}`, raw: `${first.raw}00` };
    expect(await run(async (tx) => await saveSigned(tx, id, first))).toEqual(first);
    expect(await run(async (tx) => await saveSigned(tx, id, second))).toEqual(first);
  });

  it('cannot be marked as sent before their bytes are stored', async () => {
    const wallet = newWallet();
    const intent = intentId();
    const id = attemptId();
    const unsigned = build(await reserve(wallet, intent));
    await run(async (tx) => await saveBuilt(tx, { id, intentId: intent, unsigned }));
    await expect(
      run(async (tx) => {
        await markBroadcast(tx, id, { outcome: 'accepted', detail: '' });
      }),
    ).rejects.toThrow(/signed attempt/);
  });

  it('answer the same id and bytes again, and refuse other bytes under the id', async () => {
    const wallet = newWallet();
    const intent = intentId();
    const id = attemptId();
    const set = await reserve(wallet, intent);
    const save = async (as: AttemptId, unsigned: UnsignedTransaction) =>
      await run(async (tx) => await saveBuilt(tx, { id: as, intentId: intent, unsigned }));
    expect(await save(id, build(set))).toEqual(await save(id, build(set)));
    const dearer = { ...fee, maxFeePerGas: 80n, maxCostUnits: 1_680_000n };
    await expect(save(id, build(set, 5n, dearer))).rejects.toMatchObject({ code: 'CHAINS_ATTEMPT_CONFLICT' });
    await expect(save(attemptId(), build(set))).rejects.toMatchObject({ code: 'CHAINS_ATTEMPT_CONFLICT' });
    await expect(save(attemptId(), build(set, 6n, dearer))).rejects.toThrow(/same recipient the same amount/);
    await expect(save(attemptId(), build({ ...set, nonce: 1 }))).rejects.toThrow(
      /conflict set of its intent/,
    );
    await save(attemptId(), build(set, 5n, dearer));
    const cancel = adapter.buildTransfer({ conflictSet: set, to: set.sender, units: 0n, fee: dearer });
    await save(attemptId(), cancel);
    expect(await attemptsOf(pool, intent)).toHaveLength(3);
  });

  it('never change their bytes and are never deleted, whoever asks', async () => {
    const { intent } = await sentIntent();
    const id = (await attemptsOf(pool, intent))[0]?.id;
    for (const statement of [
      `UPDATE chains.attempt SET raw = raw || '00' WHERE id = $1`,
      `UPDATE chains.attempt SET recipient = 'x' WHERE id = $1`,
      'DELETE FROM chains.attempt WHERE id = $1',
    ])
      await expect(pool.query(statement, [id])).rejects.toThrow(/are fixed|never deleted/);
  });
});

describe('what the chain did', () => {
  it('goes from mined to final', async () => {
    const { intent, signed, wallet } = await sentIntent();
    await run(async (tx) => {
      await recordMined(tx, intent, minedAs(signed));
    });
    expect(await outgoingOf(pool, intent)).toMatchObject({
      state: 'mined',
      mined: { txId: signed.txId, blockHash: block.hash, blockHeight: 10, succeeded: true, feeUnits: 7n },
    });
    expect(await openOutgoings(pool, devChain, wallet.address)).toHaveLength(1);
    await run(async (tx) => {
      await recordFinal(tx, intent, block);
    });
    expect((await outgoingOf(pool, intent))?.state).toBe('final');
    expect(await openOutgoings(pool, devChain, wallet.address)).toEqual([]);
  });

  it('goes back to broadcast when its block is orphaned, but not once it is final', async () => {
    const { intent, signed } = await sentIntent();
    const other = { ...block, hash: `0x${'d'.repeat(64)}` };
    await run(async (tx) => {
      await recordMined(tx, intent, minedAs(signed, other));
    });
    await expect(
      run(async (tx) => {
        await recordFinal(tx, intent, block);
      }),
    ).rejects.toThrow(/the block it was seen in/);
    expect(await run(async (tx) => await unmineBlocks(tx, devChain, [other]))).toEqual([intent]);
    expect(await outgoingOf(pool, intent)).toMatchObject({ state: 'broadcast', mined: undefined });
    await run(async (tx) => {
      await recordMined(tx, intent, minedAs(signed, other));
      await recordFinal(tx, intent, other);
    });
    expect(await run(async (tx) => await unmineBlocks(tx, devChain, [other]))).toEqual([]);
    expect(await run(async (tx) => await unmine(tx, intent))).toBe(false);
  });

  it('must be a transaction that was signed for this intent', async () => {
    const first = await sentIntent();
    const second = await sentIntent();
    await expect(
      run(async (tx) => {
        await recordMined(tx, first.intent, minedAs(second.signed));
      }),
    ).rejects.toThrow(/another intent/);
  });

  it('keeps the nonce of a dead conflict set from everybody else', async () => {
    const { intent, set, wallet } = await sentIntent();
    await run(async (tx) => {
      await recordDead(tx, intent);
    });
    expect(await reserve(wallet, intent)).toEqual(set);
    expect((await reserve(wallet, intentId())).nonce).toBe(set.nonce + 1);
  });
});
