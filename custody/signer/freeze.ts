/**
 * Freeze flags. One person of the roster, or whoever operates this co-signer, can stop signing for everything, a wallet or
 * a chain; lifting any flag takes two people of the roster.
 */
import { z } from 'zod';
import { errorsOf } from '#core/errors';
import type { Clock } from '#core/ports';
import { custodyErrors } from '#custody/protocol';
import { judgeFreeze } from '#policies';
import { assertionSchema, domains, peopleMax } from '#policies/contract';
import type { DecisionLog } from './decision-log.ts';
import type { Pins } from './pins.ts';
import type { SignerStore } from './store.ts';

const fail = errorsOf(custodyErrors);

const signedFreezesSchema = z
  .array(
    z.strictObject({
      statement: z.strictObject({
        domain: z.literal(domains.freeze),
        decision: z.enum(['freeze', 'lift']),
        scope: z.string().max(200),
        reason: z.string().max(200),
        approver: z.string().max(64),
        at: z.number().int().min(0),
      }),
      assertion: assertionSchema,
    }),
  )
  .min(1)
  .max(peopleMax);

const localScopePattern = /^(?:all|wallet:wal_[0-9a-f-]{36}|chain:eip155:[1-9][0-9]{0,15})$/;

interface FreezeFlag {
  readonly scope: string;
  readonly frozen: boolean;
  /** People of the roster, or `local`. */
  readonly by: readonly string[];
  readonly reason: string;
  /** Unix milliseconds; a statement made before it is a replay. */
  readonly changedAt: number;
}

export interface Freezes {
  /** The first flag that covers this wallet on this chain. */
  covering(wallet: string, chain: string): FreezeFlag | undefined;
  /** Sets or lifts a flag by signed statements. @throws CUSTODY_REFUSED (details.check `freeze`) */
  apply(signed: unknown): FreezeFlag;
  /** Sets a flag at this co-signer; only people of the roster can lift it. @throws CUSTODY_REFUSED */
  freezeLocally(scope: string, reason: string): FreezeFlag;
  list(): readonly FreezeFlag[];
}

export interface FreezesOptions {
  readonly store: SignerStore;
  readonly log: DecisionLog;
  readonly pins: Pins;
  readonly clock: Clock;
}

export function openFreezes({ store, log, pins, clock }: FreezesOptions): Freezes {
  const table = store.table<FreezeFlag>('freezes');
  const refuse = (reason: string, message: string) =>
    fail('CUSTODY_REFUSED', message, { check: 'freeze', reason });
  const isFrozen = (scope: string) => table.get(scope)?.frozen === true;

  function change(flag: Omit<FreezeFlag, 'changedAt'>): FreezeFlag {
    return store.transact(() => {
      const { at } = log.append(flag.frozen ? 'frozen' : 'lifted', {
        scope: flag.scope,
        by: flag.by,
        reason: flag.reason,
      });
      const changed = { ...flag, changedAt: at };
      table.put(flag.scope, changed);
      return changed;
    });
  }

  return {
    covering(wallet, chain) {
      const scope = ['all', `chain:${chain}`, `wallet:${wallet}`].find(isFrozen);
      return scope === undefined ? undefined : table.get(scope);
    },
    list: () => [...table.range('', '\uffff')].map(({ value }) => value),
    apply(value) {
      const parsed = signedFreezesSchema.safeParse(value);
      const first = parsed.success ? parsed.data[0] : undefined;
      if (!parsed.success || first === undefined)
        throw refuse('statement-malformed', 'the statements do not have the form of freeze statements');
      const { scope, reason } = first.statement;
      const known = table.get(scope);
      const judgement = judgeFreeze({
        signed: parsed.data,
        roster: pins.current().roster,
        nowMs: clock.nowMs(),
        ...(known === undefined ? {} : { changedAtMs: known.changedAt }),
      });
      if (!judgement.accepted) throw refuse(judgement.reason, judgement.message);
      if (judgement.decision === 'lift' && !isFrozen(scope))
        throw refuse('not-frozen', `${scope} is not frozen`);
      return change({ scope, frozen: judgement.decision === 'freeze', by: judgement.people, reason });
    },
    freezeLocally(scope, reason) {
      if (!localScopePattern.test(scope))
        throw refuse('scope-malformed', 'the scope is not all, wallet:<id> or chain:<CAIP-2 id>');
      return change({ scope, frozen: true, by: ['local'], reason: reason.slice(0, 200) });
    },
  };
}
