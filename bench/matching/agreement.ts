/** That both books did the same: without it a faster one might only have done less. */
import { deepStrictEqual } from 'node:assert';
import { type Outcome, peer, strongroom } from './books.ts';
import type { Flow } from './flow.ts';

/** Both books, fresh, through the first `count` timed commands. @throws AssertionError with the first difference */
export function assertSameOutcome(flow: Flow, count: number): Outcome {
  const [ours, theirs] = [strongroom, peer].map((subject) => {
    const book = subject.open(flow);
    book.run(0, count);
    return book.outcome();
  }) as [Outcome, Outcome];
  deepStrictEqual(theirs, ours);
  return ours;
}
