/**
 * What a process remembers of the keys in use: each is read again twice a second beside the requests, so that a request waits for
 * the database only when its key was not used for a while. When the database does not answer, signed requests end with the delay.
 */
import { errorsOf } from '#core/errors';
import type { Id } from '#core/ids';
import { apiErrors } from '../contract.ts';
import { within } from '../within.ts';
import type { ApiKey } from './contract.ts';

const fail = errorsOf(apiErrors);
/** The longest that a process goes on taking requests of a key that another one has revoked. */
const revocationDelayMs = 1_000;
/** Half of it, so that there is time for the query before a request has to wait. */
const readAgainAfterMs = revocationDelayMs / 2;
/** About 2 kB each with its parsed public key and accounts: 20 MB. The one read longest ago goes first. */
const rememberedMax = 10_000;
/** Reads in a row that were too slow, or met a revocation. */
const attemptsMax = 3;
/**
 * One that was not answered by then is given up, and the next request asks anew: a database that hangs refuses nothing by itself. As
 * long as the attempts above take at most, were each as slow as it may be.
 */
const answerMs = attemptsMax * revocationDelayMs;

export interface KeyMemory {
  /** Those that do not exist are asked for each time: an address that asks for many is limited. @throws API_KEYS_UNAVAILABLE */
  readonly find: (id: Id<'key'>) => Promise<ApiKey | undefined>;
  /** After a revocation by this process: what was read before may be from before it. */
  readonly forget: (id: Id<'key'>) => void;
}

interface Answer {
  readonly key: ApiKey | undefined;
  /** When it was asked for: the key is as it was then, or later. */
  readonly askedAtMs: number;
}

interface Question {
  answer?: Promise<Answer>;
  /** The key was revoked after it was asked. */
  outdated: boolean;
}

export function createKeyMemory(options: {
  readonly read: (id: Id<'key'>) => Promise<ApiKey | undefined>;
  readonly elapsedMs: () => number;
}): KeyMemory {
  const { elapsedMs } = options;
  const answers = new Map<string, Answer>();
  const asking = new Map<string, Question>();

  function remember(id: Id<'key'>, answer: Answer): void {
    // To the end of the map's order.
    answers.delete(id);
    if (answer.key === undefined) return;
    answers.set(id, answer);
    const [oldest] = answers.keys();
    if (answers.size > rememberedMax && oldest !== undefined) answers.delete(oldest);
  }
  async function readNow(id: Id<'key'>, question: Question): Promise<Answer> {
    const askedAtMs = elapsedMs();
    const read = options.read(id).then((found) => ({ found }));
    const answer = await within(answerMs, read).finally(() => {
      if (asking.get(id) === question) asking.delete(id);
    });
    if (answer === undefined) throw fail('API_KEYS_UNAVAILABLE', `no answer within ${answerMs} ms`);
    const { found: key } = answer;
    if (question.outdated) return { key, askedAtMs: Number.NEGATIVE_INFINITY };
    remember(id, { key, askedAtMs });
    return { key, askedAtMs };
  }
  /** One query at a time for each key. */
  async function ask(id: Id<'key'>): Promise<Answer> {
    const running = asking.get(id);
    if (running?.answer !== undefined) return await running.answer;
    const question: Question = { outdated: false };
    asking.set(id, question);
    question.answer = readNow(id, question);
    return await question.answer;
  }
  async function wait(id: Id<'key'>): Promise<ApiKey | undefined> {
    let cause: unknown;
    for (let attempt = 1; attempt <= attemptsMax; attempt++)
      try {
        const answer = await ask(id);
        if (elapsedMs() - answer.askedAtMs < revocationDelayMs) return answer.key;
      } catch (error) {
        cause = error;
        break;
      }
    throw fail(
      'API_KEYS_UNAVAILABLE',
      'the database does not say in time whether the key is in force',
      {},
      cause,
    );
  }
  return {
    find: async (id) => {
      const answer = answers.get(id);
      const ageMs = answer === undefined ? revocationDelayMs : elapsedMs() - answer.askedAtMs;
      if (answer === undefined || ageMs >= revocationDelayMs) return await wait(id);
      // When it fails, the next request asks again, and after the delay they get the error.
      if (ageMs >= readAgainAfterMs) ask(id).catch(() => undefined);
      return answer.key;
    },
    forget: (id) => {
      const question = asking.get(id);
      if (question !== undefined) question.outdated = true;
      asking.delete(id);
      answers.delete(id);
    },
  };
}
