/** That both books did the same: without it a faster one might only have done less. */
import { deepStrictEqual } from 'node:assert';
import { type Outcome, peer, type Subject, strongroom } from './books.ts';
import type { Flow } from './flow.ts';

/** A fresh book through the first `count` timed commands. */
export function outcomeOf(subject: Subject, flow: Flow, count: number): Outcome {
  const book = subject.open(flow);
  book.run(0, count);
  return book.outcome();
}

/** Both books, fresh, through the first `count` timed commands. @throws AssertionError with the first difference */
export function assertSameOutcome(flow: Flow, count: number): void {
  const [ours, theirs] = [strongroom, peer].map((subject) => outcomeOf(subject, flow, count)) as [
    Outcome,
    Outcome,
  ];
  deepStrictEqual(theirs, ours);
}
