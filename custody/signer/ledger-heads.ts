/**
 * The co-signer as a witness of the ledger: it records the heads that the ledger's own key signed, in its decision log, and
 * refuses any that contradicts what it has recorded. It knows nothing of the ledger's content and stops no signing over it:
 * else whoever has the ledger's key could stop every payment.
 */
import { createHash } from 'node:crypto';
import { canonicalJson, hashJson } from '#core/canonical-json';
import { errorsOf, type StrongroomError } from '#core/errors';
import type { Clock } from '#core/ports';
import {
  custodyErrors,
  protocolDomains,
  readLedgerHeadsSchema,
  recordLedgerHeadSchema,
  type SignedLedgerHead,
  signedBytes,
  signedLedgerHeadSchema,
  type WitnessedHead,
  type WitnessedHeads,
} from '#custody/protocol';
import type { Logger } from '#infra/log';
import type { DecisionLog } from './decision-log.ts';
import { type Identity, publicKeyOf, verifyWith } from './identity.ts';
import { createRateWindow, type RateWindow } from './rate-window.ts';
import type { SignerStore } from './store.ts';

const fail = errorsOf(custodyErrors);

/**
 * Two a minute, for one export a minute and its repetitions. With the ledger's key in hostile hands, three windows (heads,
 * contradictions, strangers) of 120 an hour and about 1.2 KiB each in log and table are 10 MiB a day: four years until the
 * store's 16 GiB are full.
 */
const perHourMax = 120;
const hourMs = 3_600_000;
/** Digits of the largest bigint; padded so that keys sort as numbers do. */
const batchDigits = 19;
/**
 * The recorded head and the one before it. A co-signer sees no batches, so a rewritten ledger that has grown past the last
 * head is a later head to it; the ledger's side sees by the one before that its past is another.
 */
const headsPerRecordAnswer = 2;

export interface LedgerHeads {
  /**
   * Records the head durably, once; the same head again gives the first record.
   * @throws CUSTODY_LEDGER_HEAD_REFUSED, CUSTODY_LEDGER_HEAD_CONFLICT (details.recorded is the head it contradicts, with the
   * ledger's own signature), CUSTODY_LEDGER_HEADS_LIMITED
   */
  record(value: unknown): WitnessedHead;
  /** Newest first, of batch `upTo` and below where that is given. */
  newest(count: number, upTo?: string | undefined): readonly WitnessedHead[];
}

export interface LedgerHeadsOptions {
  readonly store: SignerStore;
  readonly log: DecisionLog;
  readonly clock: Clock;
  /** Of the ledger, hex; without it every head is refused. */
  readonly publicKey?: string | undefined;
  /** Alerts go here. */
  readonly logger?: Logger | undefined;
}

type Statement = SignedLedgerHead['statement'];
type Conflict = 'forked' | 'batch-lower' | 'seq-shrinks';

const ledgerIdOf = (publicKey: Uint8Array): string =>
  `sha256:${createHash('sha256').update(publicKey).digest('hex')}`;
const paddedBatch = (batch: string): string => batch.padStart(batchDigits, '0');
const keyOf = ({ ledger, batch }: Statement): [string, string] => [ledger, paddedBatch(batch)];

function isSameHead(a: Statement, b: Statement): boolean {
  return a.hash === b.hash && a.lastSeq === b.lastSeq && a.recordedMs === b.recordedMs;
}

/** Why `stated`, which is of another batch, cannot be of the history that `newest` is of. A batch has a transfer or more. */
function conflictOf(newest: Statement, stated: Statement): Conflict | undefined {
  const batches = BigInt(stated.batch) - BigInt(newest.batch);
  if (batches < 0n) return 'batch-lower';
  return BigInt(stated.lastSeq) - BigInt(newest.lastSeq) < batches ? 'seq-shrinks' : undefined;
}

class HeadWitness implements LedgerHeads {
  readonly #options: LedgerHeadsOptions;
  readonly #table;
  readonly #pinned;
  readonly #windows: Record<'heads' | 'conflicts' | 'strangers', RateWindow>;

  constructor(options: LedgerHeadsOptions) {
    const { store, clock, publicKey } = options;
    this.#options = options;
    this.#table = store.table<WitnessedHead>('ledger-heads');
    const raw = publicKey === undefined ? undefined : Buffer.from(publicKey, 'hex');
    this.#pinned =
      raw === undefined ? undefined : { key: publicKeyOf('ed25519', raw), ledger: ledgerIdOf(raw) };
    const window = () => createRateWindow({ max: perHourMax, windowMs: hourMs, clock });
    this.#windows = { heads: window(), conflicts: window(), strangers: window() };
  }

  newest(count: number, upTo = ''): readonly WitnessedHead[] {
    const ledger = this.#pinned?.ledger;
    if (ledger === undefined) return [];
    // The empty text sorts below every digit and the tilde above, so neither end is a stored key.
    const end = upTo === '' ? '~' : `${paddedBatch(upTo)}~`;
    return this.#table.lastOf([ledger, ''], [ledger, end], count);
  }

  /** Synchronous from the first look to the record: two heads may not interleave between judging and writing. */
  record(value: unknown): WitnessedHead {
    const head = this.#authenticate(value);
    const { statement } = head;
    const known = this.#table.get(keyOf(statement));
    if (known !== undefined) {
      if (isSameHead(known.head.statement, statement)) return known;
      throw this.#contradiction('forked', head, known.head);
    }
    const newest = this.newest(1)[0]?.head;
    const conflict = newest === undefined ? undefined : conflictOf(newest.statement, statement);
    if (newest !== undefined && conflict !== undefined) throw this.#contradiction(conflict, head, newest);
    if (!this.#windows.heads.take().fits)
      throw fail('CUSTODY_LEDGER_HEADS_LIMITED', `${perHourMax} heads were recorded within the hour`, {
        batch: statement.batch,
      });
    const { store, log } = this.#options;
    return store.transact(() => {
      const { seq, at } = log.append('ledger-head', { ...head });
      const recorded: WitnessedHead = { head, seq, at };
      this.#table.put(keyOf(statement), recorded);
      return recorded;
    });
  }

  /** @throws CUSTODY_LEDGER_HEAD_REFUSED */
  #authenticate(value: unknown): SignedLedgerHead {
    const parsed = signedLedgerHeadSchema.safeParse(value);
    if (!parsed.success) throw this.#stranger('malformed', 'it does not have the form of a signed head');
    const { statement, signature } = parsed.data;
    if (this.#pinned === undefined)
      throw this.#stranger('no-ledger-pinned', 'this co-signer has no ledgerPublicKey in its configuration');
    if (statement.ledger !== this.#pinned.ledger)
      throw this.#stranger(
        'ledger-unknown',
        `it is of ${statement.ledger}, pinned is ${this.#pinned.ledger}`,
      );
    const { domain, ...fields } = statement;
    if (!verifyWith(this.#pinned.key, signedBytes(domain, fields), signature))
      throw this.#stranger('signature-invalid', "the ledger's key did not sign it");
    return parsed.data;
  }

  /** Of somebody who does not have the ledger's key: only the reason is kept. */
  #stranger(reason: string, message: string): StrongroomError {
    const place = this.#windows.strangers.take();
    if (place.fits) {
      this.#options.log.append('ledger-head-refused', { reason, suppressed: place.suppressed });
      this.#options.logger?.warn({ reason }, 'signer.ledger-head-refused');
    }
    return fail('CUSTODY_LEDGER_HEAD_REFUSED', `a ledger head was refused: ${message}`, { reason });
  }

  /** Both heads bear the ledger's signature: the two together prove to anybody that the ledger was changed. */
  #contradiction(reason: Conflict, stated: SignedLedgerHead, recorded: SignedLedgerHead): StrongroomError {
    const { log, logger } = this.#options;
    const { batch } = stated.statement;
    const recordedBatch = recorded.statement.batch;
    const place = this.#windows.conflicts.take();
    if (place.fits) {
      log.append('ledger-head-refused', { reason, stated, recordedBatch, suppressed: place.suppressed });
      logger?.error({ reason, batch, recordedBatch }, 'signer.ledger-head-conflict');
    }
    return fail(
      'CUSTODY_LEDGER_HEAD_CONFLICT',
      `ledger head ${batch} contradicts the recorded head ${recordedBatch}: ${reason}`,
      { reason, batch, recordedBatch, recorded: canonicalJson(recorded) },
    );
  }
}

/** @throws CUSTODY_CONFIG_INVALID for a public key of another length */
export function openLedgerHeads(options: LedgerHeadsOptions): LedgerHeads {
  return new HeadWitness(options);
}

/**
 * What others may ask. Every answer is signed and names the question with its challenge, so that whoever relays it can neither
 * invent a head, nor drop one, nor ask for fewer, nor give the answer of another day.
 */
export function ledgerHeadRoutes(heads: LedgerHeads, identity: Pick<Identity, 'party' | 'sign'>) {
  const answer = (question: object, witnessed: readonly WitnessedHead[]): WitnessedHeads => {
    const fields = { party: identity.party, question: hashJson(question), heads: [...witnessed] };
    const signature = identity.sign(signedBytes(protocolDomains.witnessedHeads, fields)).toString('base64');
    return { ...fields, signature };
  };
  return {
    '/v1/ledger-heads/record': (body: unknown) => {
      const question = recordLedgerHeadSchema.parse(body);
      const { batch } = heads.record(question.head).head.statement;
      return answer(question, heads.newest(headsPerRecordAnswer, batch));
    },
    '/v1/ledger-heads/read': (body: unknown) => {
      const question = readLedgerHeadsSchema.parse(body);
      return answer(question, heads.newest(question.count, question.upTo));
    },
  };
}
