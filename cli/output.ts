import { isStrongroomError, messageOf } from '#core/errors';

/** What a command shows: a table for people, or with --json one JSON document on standard output and nothing else. */
export interface Output {
  readonly json: boolean;
  /** `value` is what --json prints; `text` is what a person reads. */
  show(value: unknown, text: string): void;
}

export function createOutput(json: boolean, write: (text: string) => void): Output {
  return {
    json,
    show: (value, text) => {
      write(json ? `${JSON.stringify(value, null, 2)}\n` : `${text}\n`);
    },
  };
}

/** What goes to standard error: what happened and what to do, with --json as one JSON document. */
export function describeError(error: unknown, json: boolean): string {
  const message = messageOf(error);
  if (!isStrongroomError(error)) return json ? JSON.stringify({ message }) : message;
  const { code, whatToDo = '' } = error;
  if (json) return JSON.stringify({ code, message, whatToDo });
  return `${code}: ${message}${whatToDo === '' ? '' : `\n${whatToDo}`}`;
}
