/** Key shares at rest and the durable one-time ids, bans and abort counts (guard rails 5 and 6). */
import type { JsonValue } from '#core/canonical-json';
import { errorsOf } from '#core/errors';
import type { Clock } from '#core/ports';
import { custodyErrors } from '#custody/protocol';
import type { DecisionLog } from './decision-log.ts';
import type { SessionGuard, ShareFacts, ShareStore } from './ports.ts';
import type { SealedValue, Sealer } from './sealing.ts';
import type { SignerStore } from './store.ts';

const fail = errorsOf(custodyErrors);

const curve = 'secp256k1';
/** One `wallet / epoch` record; the facts are not secret, so they are tagged and not sealed. */
interface StoredShare {
  readonly state: 'pending' | 'active' | 'retired';
  readonly sealed: SealedValue;
  readonly facts: ShareFacts;
  readonly tag: string;
}
interface ActiveEpoch {
  readonly epoch: number;
}

export interface ShareStoreOptions {
  readonly store: SignerStore;
  readonly sealer: Sealer;
  readonly log: DecisionLog;
  readonly party: number;
  readonly dev: boolean;
}

export function openShareStore({ store, sealer, log, party, dev }: ShareStoreOptions): ShareStore {
  const table = store.table<StoredShare>('shares');
  const active = store.table<ActiveEpoch>('shares');
  const shareKey = (wallet: string, epoch: number) => [wallet, epoch];
  const activeKey = (wallet: string) => [wallet, 'active'];
  const associated = (wallet: string, epoch: number) => ({ wallet, party, epoch, curve });
  const tagged = (wallet: string, epoch: number, facts: ShareFacts): JsonValue => ({
    ...associated(wallet, epoch),
    facts: { ...facts },
  });

  function read(wallet: string, epoch: number): StoredShare {
    const stored = table.get(shareKey(wallet, epoch));
    if (stored === undefined)
      throw fail('CUSTODY_WALLET_UNKNOWN', `no share of ${wallet} in epoch ${epoch}`, { wallet, epoch });
    return stored;
  }
  function unseal(wallet: string, epoch: number, state: StoredShare['state']): Uint8Array {
    const stored = read(wallet, epoch);
    if (stored.state !== state)
      throw fail('CUSTODY_WALLET_UNKNOWN', `the share of ${wallet} in epoch ${epoch} is ${stored.state}`);
    sealer.checkTag(tagged(wallet, epoch, stored.facts), stored.tag);
    assertMark(stored.facts);
    return sealer.open(stored.sealed, associated(wallet, epoch));
  }
  /** A share made in development never signs in production, nor the other way round. */
  function assertMark(facts: ShareFacts): void {
    if (facts.dev !== dev)
      throw fail(
        'CUSTODY_CONFIG_INVALID',
        facts.dev
          ? 'the share was made by a co-signer started with --dev'
          : 'the share is not a development share',
      );
  }

  return {
    open: (wallet, epoch) => unseal(wallet, epoch, 'active'),
    openPending: (wallet, epoch) => unseal(wallet, epoch, 'pending'),
    activeEpoch: (wallet) => active.get(activeKey(wallet))?.epoch,
    savePending(wallet, epoch, share, facts) {
      assertMark(facts);
      store.transact(() => {
        // A pending share may be replaced by a new run of the ceremony, an active one never.
        const known = table.get(shareKey(wallet, epoch));
        if (known !== undefined && known.state !== 'pending')
          throw fail('CUSTODY_STORE_CORRUPT', `${wallet} already has a share of epoch ${epoch}`);
        table.put(shareKey(wallet, epoch), {
          state: 'pending',
          sealed: sealer.seal(share, associated(wallet, epoch)),
          facts,
          tag: sealer.tag(tagged(wallet, epoch, facts)),
        });
        log.append('share-saved', { wallet, epoch, publicKey: facts.publicKey, dev: facts.dev });
      });
    },
    activate(wallet, epoch) {
      store.transact(() => {
        const stored = read(wallet, epoch);
        const current = active.get(activeKey(wallet));
        if (stored.state !== 'pending' || (current !== undefined && current.epoch >= epoch))
          throw fail('CUSTODY_STORE_CORRUPT', `epoch ${epoch} of ${wallet} cannot become active`);
        sealer.checkTag(tagged(wallet, epoch, stored.facts), stored.tag);
        if (current !== undefined)
          table.put(shareKey(wallet, current.epoch), { ...read(wallet, current.epoch), state: 'retired' });
        table.put(shareKey(wallet, epoch), { ...stored, state: 'active' });
        active.put(activeKey(wallet), { epoch });
        log.append('share-activated', { wallet, epoch, transcriptHash: stored.facts.transcriptHash });
      });
    },
    facts(wallet, epoch) {
      const stored = table.get(shareKey(wallet, epoch));
      if (stored === undefined) return undefined;
      sealer.checkTag(tagged(wallet, epoch, stored.facts), stored.tag);
      return stored.facts;
    },
  };
}

/** Above this a peer is broken or probing (selective failure), and a person has to look. */
export const abortsPerHourMax = 20;
const hourMs = 3_600_000;

/** @param log bans are decisions and are logged in the transaction that makes them */
export function openSessionGuard(store: SignerStore, log: DecisionLog, clock: Clock): SessionGuard {
  const consumed = store.table<{ at: number }>('consumed');
  const bans = store.table<{ reason: string; at: number }>('bans');
  const aborts = store.table<{ times: readonly number[] }>('aborts');
  const recentAborts = (party: number) =>
    (aborts.get(party)?.times ?? []).filter((at) => at > clock.nowMs() - hourMs);
  return {
    consume: (id) =>
      store.transact(() => {
        if (consumed.get(id) !== undefined) return false;
        consumed.put(id, { at: clock.nowMs() });
        return true;
      }),
    ban(party, reason) {
      store.transact(() => {
        if (bans.get(party) !== undefined) return;
        bans.put(party, { reason, at: clock.nowMs() });
        log.append('banned', { party, reason });
      });
    },
    isBanned: (party) => bans.get(party) !== undefined,
    recordAbort(party) {
      store.transact(() => {
        aborts.put(party, { times: [...recentAborts(party), clock.nowMs()].slice(-(abortsPerHourMax + 1)) });
      });
    },
    isPaused: (party) => recentAborts(party).length > abortsPerHourMax,
  };
}
