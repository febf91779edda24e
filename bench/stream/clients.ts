/** Processes of clients, as who started them talks to them. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';

export type ToClients =
  | {
      readonly kind: 'open';
      readonly baseUrl: string;
      readonly tokens: readonly string[];
      readonly count: number;
      readonly market: string;
    }
  /** Every n-th loses its connection, and comes back. */
  | { readonly kind: 'cut'; readonly every: number }
  /** From now on it is remembered when a message came. */
  | { readonly kind: 'measure' }
  /** Once every client has come to this command. */
  | { readonly kind: 'report'; readonly seq: number };
export interface ClientsReport {
  /** How many clients have this book: `<seq> <sha256>`. */
  readonly digests: Readonly<Record<string, number>>;
  readonly connections: number;
  readonly snapshots: number;
  readonly messages: number;
  /** Links of a chain that did not hold. */
  readonly breaks: number;
  readonly resyncs: number;
  /** Messages of the client that had the fewest. */
  readonly fewest: number;
  readonly heard: { readonly seqs: Float64Array; readonly atNs: BigInt64Array };
}
export type FromClients =
  | { readonly kind: 'opened' }
  | { readonly kind: 'report'; readonly report: ClientsReport };

export class ClientsProcess {
  readonly #child: ChildProcess;

  constructor() {
    this.#child = fork(new URL('./clients-process.ts', import.meta.url), [], {
      execArgv: ['--import', import.meta.resolve('tsx')],
      serialization: 'advanced',
    });
  }

  async open(what: Omit<Extract<ToClients, { kind: 'open' }>, 'kind'>): Promise<void> {
    await this.#ask({ kind: 'open', ...what }, 'opened');
  }
  cut(every: number): void {
    this.#child.send({ kind: 'cut', every });
  }
  measure(): void {
    this.#child.send({ kind: 'measure' });
  }
  async report(seq: number): Promise<ClientsReport> {
    return (await this.#ask({ kind: 'report', seq }, 'report')).report;
  }
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    this.#child.kill();
    await once(this.#child, 'exit');
  }

  async #ask<K extends FromClients['kind']>(
    message: ToClients,
    kind: K,
  ): Promise<Extract<FromClients, { kind: K }>> {
    const answered = new Promise<Extract<FromClients, { kind: K }>>((resolve, reject) => {
      const onMessage = (answer: unknown): void => {
        if ((answer as FromClients).kind !== kind) return;
        this.#child.off('message', onMessage);
        this.#child.off('exit', onExit);
        resolve(answer as Extract<FromClients, { kind: K }>);
      };
      const onExit = (code: number | null): void => {
        reject(new Error(`the process of the clients ended with ${code ?? 'a signal'}`));
      };
      this.#child.on('message', onMessage);
      this.#child.once('exit', onExit);
    });
    this.#child.send(message);
    return await answered;
  }
}
