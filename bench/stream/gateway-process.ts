/** The gateway in a process of its own, so that its processor time and memory are those of the stream. */
import type { FeedMessage } from '../../matching/trading/contract.ts';
import { market, openGateway } from './exchange.ts';
import type { FromGateway, ToGateway } from './gateway.ts';

const say = (message: FromGateway): void => {
  process.send?.(message);
};
const seqs: number[] = [];
const atNs: bigint[] = [];
const bytes: number[] = [];

process.on('message', (message: ToGateway) => {
  if (message.kind === 'open')
    void openGateway(message).then((gateway) => {
      // Before any client is there, so it hears each message first.
      gateway.trading.feed.subscribe(`book/${market}`, {
        onMessage: ({ seq }: FeedMessage, text) => {
          seqs.push(seq);
          atNs.push(process.hrtime.bigint());
          bytes.push(Buffer.byteLength(text));
        },
        onReset: () => {
          throw new Error('the link was reset: what was measured is void');
        },
      });
      process.once('SIGTERM', () => {
        void gateway.close().then(() => process.exit(0));
      });
      say({ kind: 'opened', baseUrl: gateway.baseUrl, tokens: gateway.tokens });
    });
  else {
    globalThis.gc?.();
    const { user, system } = process.cpuUsage();
    const { heapUsed, external } = process.memoryUsage();
    say({
      kind: 'usage',
      cpuMs: (user + system) / 1_000,
      heldBytes: heapUsed + external,
      durable: {
        seqs: Float64Array.from(seqs),
        atNs: BigInt64Array.from(atNs),
        bytes: Float64Array.from(bytes),
      },
    });
    seqs.length = 0;
    atNs.length = 0;
    bytes.length = 0;
  }
});
process.on('disconnect', () => process.exit(0));
