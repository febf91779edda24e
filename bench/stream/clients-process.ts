/** Many clients of the stream in one process: each keeps a book of its own and looks at every link of its chain. */
import { setTimeout as delay } from 'node:timers/promises';
import { createTradingClient } from '../../api/client/index.ts';
import { LocalBook } from '../../api/client/local-book.ts';
import type { StreamClient } from '../../api/client/stream.ts';
import { tradingLimits } from '../../matching/trading/contract.ts';
import { digestOf } from './book-digest.ts';
import type { ClientsReport, FromClients, ToClients } from './clients.ts';

/** So that the server’s queue of connections does not overflow. */
const openedAtOnce = 25;
const lookMs = 10;

class Client {
  readonly stream: StreamClient;
  readonly #report: Report;
  book: LocalBook | undefined;
  #chained = false;
  connections = 0;
  snapshots = 0;
  messages = 0;
  breaks = 0;
  resyncs = 0;

  constructor(baseUrl: string, token: string, report: Report) {
    this.#report = report;
    this.stream = createTradingClient({ baseUrl, token }).stream({
      onOpen: () => {
        this.connections++;
        this.#chained = false;
      },
    });
  }

  async subscribe(market: string): Promise<void> {
    await this.stream.subscribe(
      { channel: 'book', market },
      {
        onSnapshot: (snapshot) => {
          this.snapshots++;
          this.#chained = false;
          this.book = new LocalBook(snapshot, tradingLimits.bookLevels);
        },
        onMessage: (message) => {
          this.#report.heard(message.seq);
          const { book } = this;
          // The client looks itself; this is a second pair of eyes.
          if (book === undefined || message.seq <= book.seq || message.prevSeq > book.seq) this.breaks++;
          if (this.#chained && message.prevSeq !== book?.seq) this.breaks++;
          this.#chained = true;
          this.messages++;
          book?.apply(message);
        },
        onResync: () => {
          this.resyncs++;
        },
      },
    );
  }
}

/** Which message came when, on the clock that all processes of a machine share. */
class Report {
  seqs = new Float64Array(1 << 16);
  atNs = new BigInt64Array(1 << 16);
  count = 0;
  isOn = false;

  heard(seq: number): void {
    if (!this.isOn) return;
    if (this.count === this.seqs.length) {
      const seqs = new Float64Array(2 * this.count);
      const atNs = new BigInt64Array(2 * this.count);
      seqs.set(this.seqs);
      atNs.set(this.atNs);
      this.seqs = seqs;
      this.atNs = atNs;
    }
    this.seqs[this.count] = seq;
    this.atNs[this.count] = process.hrtime.bigint();
    this.count++;
  }
}

const report = new Report();
const clients: Client[] = [];
const say = (message: FromClients): void => {
  process.send?.(message);
};

async function open({ baseUrl, tokens, count, market }: Extract<ToClients, { kind: 'open' }>): Promise<void> {
  for (let at = 0; at < count; at += openedAtOnce)
    await Promise.all(
      Array.from({ length: Math.min(openedAtOnce, count - at) }, async (_, of) => {
        const client = new Client(baseUrl, tokens[(at + of) % tokens.length] ?? '', report);
        clients.push(client);
        await client.subscribe(market);
      }),
    );
  say({ kind: 'opened' });
}

/** Each connection is cut once: one that is not back yet is waited for. */
async function cut(every: number): Promise<void> {
  while (clients.some(({ stream }) => !stream.isOpen)) await delay(lookMs);
  for (const [at, client] of clients.entries()) if (at % every === 0) client.stream.cut();
}

/** When every client has the message, or says that it never will. */
async function answer(seq: number): Promise<ClientsReport> {
  while (clients.some(({ book }) => (book?.seq ?? -1) < seq)) await delay(lookMs);
  const digests: Record<string, number> = {};
  const sum = (of: 'connections' | 'snapshots' | 'messages' | 'breaks' | 'resyncs'): number =>
    clients.reduce((total, client) => total + client[of], 0);
  for (const { book } of clients) {
    const digest = `${book?.seq ?? 0} ${digestOf(book?.bids ?? [], book?.asks ?? [])}`;
    digests[digest] = (digests[digest] ?? 0) + 1;
  }
  return {
    digests,
    connections: sum('connections'),
    snapshots: sum('snapshots'),
    messages: sum('messages'),
    breaks: sum('breaks'),
    resyncs: sum('resyncs'),
    fewest: Math.min(...clients.map(({ messages }) => messages)),
    heard: {
      seqs: report.seqs.slice(0, report.count),
      atNs: report.atNs.slice(0, report.count),
    },
  };
}

process.on('message', (message: ToClients) => {
  switch (message.kind) {
    case 'open':
      void open(message);
      return;
    case 'cut':
      void cut(message.every);
      return;
    case 'measure':
      report.isOn = true;
      report.count = 0;
      return;
    case 'report':
      void answer(message.seq).then((found) => {
        say({ kind: 'report', report: found });
      });
  }
});
// However its parent ends.
process.on('disconnect', () => process.exit(0));
