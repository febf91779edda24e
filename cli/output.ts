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
