/**
 * The coordinator: a library in the worker that brings co-signers together. It chooses and rotates participants, relays
 * what it cannot read, and verifies the finished signature with code of its own. It decides nothing.
 */
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { keccak_256 } from '@noble/hashes/sha3.js';
import { errorsOf, isStrongroomError, messageOf } from '#core/errors';
import { newId } from '#core/ids';
import type { Clock, Random } from '#core/ports';
import {
  type ActivationAck,
  type CommitteeFile,
  custodyErrors,
  type FinishedSignature,
  type KeyStatement,
  keyStatementSchema,
  quorumsOf,
  type Refusal,
  type SignRequest,
} from '#custody/protocol';
import type { Logger } from '#infra/log';
import type { Coordinator, SignOrder, SignResult, WalletRoot } from '../contract.ts';
import { childPublicKey, verifyStatements } from '../statements.ts';
import { activateKey, runCeremony } from './ceremony.ts';
import { allSettledOrThrow } from './relay.ts';
import { type Absence, absenceOf, runSigning } from './signing.ts';
import { createHttpTransport, type SignerTransport } from './transport.ts';

const fail = errorsOf(custodyErrors);
/** Sessions tried for one order before the caller has to come back: every quorum of 2-of-3 once, and once more. */
const sessionsPerOrderMax = 4;
/** A co-signer that did not answer, or was banned by another, is chosen last for this long. */
const avoidedMs = 10_000;

export interface CoordinatorOptions {
  readonly committee: CommitteeFile;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
  /** Whether development wallets are accepted. */
  readonly dev: boolean;
  /** Verified statements of a wallet; by default they are fetched from the co-signers and kept in memory. */
  readonly rootOf?: (wallet: string) => Promise<WalletRoot>;
  /** Called with the acknowledgements of a ceremony before anything is activated, so that it can be finished later. */
  readonly keepAcknowledgements?: (wallet: string, acks: readonly ActivationAck[]) => Promise<void>;
  readonly transport?: SignerTransport;
}

/** What the bytes of an order hash to on their chain. @throws CUSTODY_REQUEST_INVALID for a chain without a rule */
function digestOf(order: SignOrder): Uint8Array {
  if (!order.chain.startsWith('eip155:'))
    throw fail('CUSTODY_REQUEST_INVALID', `no signing rule for ${order.chain}`, { chain: order.chain });
  return keccak_256(Uint8Array.from(Buffer.from(order.unsigned, 'hex')));
}

/** @throws CUSTODY_STATEMENT_INVALID when it is not a low-s signature of that digest by that key */
function assertSignature(signature: FinishedSignature, digest: Uint8Array, publicKey: Uint8Array): void {
  const compact = Uint8Array.from(Buffer.from(signature.compact, 'hex'));
  const refuse = (reason: string): Error =>
    fail('CUSTODY_STATEMENT_INVALID', `a finished signature ${reason}`, { reason });
  if (Buffer.compare(Buffer.from(signature.publicKey, 'hex'), publicKey) !== 0)
    throw refuse('names another key than the statements');
  const parsed = secp256k1.Signature.fromBytes(compact);
  if (parsed.hasHighS()) throw refuse('has a high s');
  // Recovery solves the equation that verification checks: a signature verifies under the key it recovers, and no other.
  const recovered = parsed.addRecoveryBit(signature.recoveryId).recoverPublicKey(digest).toBytes(true);
  if (Buffer.compare(recovered, publicKey) !== 0) throw refuse('recovers another key');
}

/** One order on its way through quorums: who is out, what was said, what was tried. */
class OrderRun {
  readonly refusals = new Map<number, Refusal>();
  readonly unreachable = new Map<number, string>();
  readonly unwilling = new Map<string, string>();
  readonly tried: (readonly number[])[] = [];
  readonly aborted: { session: string; reason: string }[] = [];

  note(quorum: readonly number[], absences: readonly Absence[]): void {
    for (const absence of absences) {
      if (absence.kind === 'refused') this.refusals.set(absence.refusal.party, absence.refusal);
      else if (absence.kind === 'unreachable') this.unreachable.set(absence.party, absence.reason);
      else this.unwilling.set(quorum.join(','), `party ${absence.party}: ${absence.reason}`);
    }
  }

  isPossible(quorum: readonly number[]): boolean {
    return (
      !this.unwilling.has(quorum.join(',')) &&
      !quorum.some((party) => this.refusals.has(party) || this.unreachable.has(party))
    );
  }

  timesTried(quorum: readonly number[]): number {
    return this.tried.filter((other) => other.join(',') === quorum.join(',')).length;
  }
}

class CommitteeCoordinator implements Coordinator {
  readonly #options: CoordinatorOptions;
  readonly #transport: SignerTransport;
  readonly #quorums: readonly (readonly number[])[];
  readonly #parties: readonly number[];
  readonly #roots = new Map<string, Promise<WalletRoot>>();
  readonly #childKeys = new Map<string, Uint8Array>();
  readonly #avoidedUntilMs = new Map<number, number>();
  #rotation = 0;

  constructor(options: CoordinatorOptions, transport: SignerTransport) {
    this.#options = options;
    this.#transport = transport;
    this.#parties = options.committee.members.map((member) => member.party);
    this.#quorums = quorumsOf(this.#parties, options.committee.threshold);
  }

  #newSession(): string {
    return newId('ses', this.#options.clock, this.#options.random);
  }

  async dkg(wallet: string): Promise<readonly KeyStatement[]> {
    const { committee, keepAcknowledgements } = this.#options;
    const transport = this.#transport;
    const acks = await runCeremony({ committee, transport, wallet, session: this.#newSession() });
    await keepAcknowledgements?.(wallet, acks);
    return await this.activate(acks);
  }

  async activate(acks: readonly ActivationAck[]): Promise<readonly KeyStatement[]> {
    return await activateKey(this.#options.committee, this.#transport, acks);
  }

  async statements(wallet: string): Promise<readonly KeyStatement[]> {
    return await allSettledOrThrow(
      this.#parties.map(async (party) =>
        keyStatementSchema.parse(await this.#transport(party, 'GET', `/v1/wallets/${wallet}/statement`)),
      ),
    );
  }

  async #rootOf(wallet: string): Promise<WalletRoot> {
    const { rootOf, committee, dev } = this.#options;
    const known = this.#roots.get(wallet);
    if (known !== undefined) return await known;
    const loading =
      rootOf?.(wallet) ??
      this.statements(wallet).then((statements) => verifyStatements(wallet, statements, { committee, dev }));
    this.#roots.set(wallet, loading);
    loading.catch(() => this.#roots.delete(wallet));
    return await loading;
  }

  async #childKey(wallet: string, path: string): Promise<Uint8Array> {
    const name = `${wallet}/${path}`;
    const known = this.#childKeys.get(name);
    if (known !== undefined) return known;
    const key = childPublicKey(await this.#rootOf(wallet), path);
    if (this.#childKeys.size >= childKeysMax) this.#childKeys.clear();
    this.#childKeys.set(name, key);
    return key;
  }

  async sign(order: SignOrder): Promise<SignResult> {
    const digest = digestOf(order);
    const publicKey = await this.#childKey(order.wallet, order.path);
    const run = new OrderRun();
    while (run.tried.length < sessionsPerOrderMax) {
      const participants = this.#nextQuorum(run);
      if (participants === undefined) break;
      run.tried.push(participants);
      const session = this.#newSession();
      const request: SignRequest = { ...order, participants: [...participants] };
      const outcome = await runSigning({ transport: this.#transport, session, request });
      if (outcome.state === 'signed') {
        assertSignature(outcome.signature, digest, publicKey);
        const refusals = [...run.refusals.values()];
        return { signature: outcome.signature, participants, session, refusals, aborted: run.aborted };
      }
      run.note(participants, outcome.absences);
      for (const party of run.unreachable.keys())
        this.#avoidedUntilMs.set(party, this.#options.clock.nowMs() + avoidedMs);
      if (outcome.state === 'aborted') {
        run.aborted.push({ session, reason: outcome.reason });
        if (outcome.blamed !== 0)
          this.#avoidedUntilMs.set(outcome.blamed, this.#options.clock.nowMs() + avoidedMs);
        this.#options.log.warn({ session, participants, reason: outcome.reason }, 'signing session aborted');
      }
    }
    throw await this.#failureOf(order, run);
  }

  /** The next possible quorum: those with silent or banned co-signers last, then the least tried, else in turn. */
  #nextQuorum(run: OrderRun): readonly number[] | undefined {
    const now = this.#options.clock.nowMs();
    const avoided = (quorum: readonly number[]): number =>
      quorum.filter((party) => (this.#avoidedUntilMs.get(party) ?? 0) > now).length;
    const start = this.#rotation % this.#quorums.length;
    this.#rotation += 1;
    const inTurn = [...this.#quorums.slice(start), ...this.#quorums.slice(0, start)];
    return inTurn
      .filter((quorum) => run.isPossible(quorum))
      .sort((a, b) => {
        const byAvoided = avoided(a) - avoided(b);
        return byAvoided === 0 ? run.timesTried(a) - run.timesTried(b) : byAvoided;
      })[0];
  }

  /** Asks those who have not said anything yet, so that a person sees what every co-signer thinks of the order. */
  async #askTheRest(order: SignOrder, run: OrderRun): Promise<void> {
    for (const party of this.#parties) {
      if (run.refusals.has(party) || run.unreachable.has(party)) continue;
      const quorum = this.#quorums.find((candidate) => candidate.includes(party)) ?? [];
      const request: SignRequest = { ...order, participants: [...quorum] };
      const body = { session: this.#newSession(), request };
      await this.#transport(party, 'POST', '/v1/sign/open', body).catch((error: unknown) => {
        run.note(quorum, [absenceOf(party, error)]);
      });
    }
  }

  async #failureOf(order: SignOrder, run: OrderRun): Promise<Error> {
    if (run.refusals.size > 0) await this.#askTheRest(order, run);
    const refusals = [...run.refusals.values()].sort((a, b) => a.party - b.party);
    const unreachable = [...run.unreachable].map(([party, reason]) => `party ${party}: ${reason}`);
    const details = {
      wallet: order.wallet,
      intents: order.intents.map(({ intent }) => intent.id),
      refusals: refusals.map(
        ({ party, check, reason, message }) => `${party} ${check} ${reason}: ${message}`,
      ),
      checks: refusals.map(({ check }) => check),
      parties: refusals.map(({ party }) => party),
      unreachable,
      unwilling: [...run.unwilling.values()],
      aborted: run.aborted.map(({ session, reason }) => `${session}: ${reason}`),
    };
    const [first] = refusals;
    if (first !== undefined)
      return fail('CUSTODY_REFUSED', `no quorum signs this: ${details.refusals.join('; ')}`, {
        ...details,
        check: first.check,
        reason: first.reason,
      });
    if (run.aborted.length > 0)
      return fail(
        'CUSTODY_SESSION_ABORTED',
        `no session ended with a signature: ${details.aborted.join('; ')}`,
        details,
      );
    if (run.unwilling.size > 0 && unreachable.length === 0)
      return fail('CUSTODY_BANNED', `no quorum works together: ${details.unwilling.join('; ')}`, details);
    return fail(
      'CUSTODY_SIGNER_UNREACHABLE',
      `too few co-signers answer: ${unreachable.join('; ')}`,
      details,
    );
  }

  async health(): Promise<
    readonly { readonly party: number; readonly ok: boolean; readonly detail: string }[]
  > {
    return await Promise.all(
      this.#parties.map(async (party) => {
        try {
          await this.#transport(party, 'GET', '/health');
          return { party, ok: true, detail: 'ok' };
        } catch (error) {
          return {
            party,
            ok: false,
            detail: isStrongroomError(error) ? `${error.code}: ${error.message}` : messageOf(error),
          };
        }
      }),
    );
  }

  close(): void {
    this.#transport.close?.();
  }
}

/** Derived keys kept in memory; deposit sweeps touch one path each. */
const childKeysMax = 10_000;

export function createCoordinator(options: CoordinatorOptions): Coordinator {
  return new CommitteeCoordinator(options, options.transport ?? createHttpTransport(options.committee));
}
