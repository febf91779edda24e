/** The gateway's process, as who started it talks to it. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { EnginePlace } from './exchange.ts';

export type ToGateway = ({ readonly kind: 'open' } & EnginePlace) | { readonly kind: 'usage' };
export type FromGateway =
  | { readonly kind: 'opened'; readonly baseUrl: string; readonly tokens: readonly string[] }
  | Usage;
/** Since the start of the process; `durable` since it was asked last. */
export interface Usage {
  readonly kind: 'usage';
  readonly cpuMs: number;
  /** After a collection; what the kernel holds for sockets is not in it. */
  readonly heldBytes: number;
  /** When the gateway had each message of the book: it is durable then, and nobody outside has it. */
  readonly durable: {
    readonly seqs: Float64Array;
    readonly atNs: BigInt64Array;
    readonly bytes: Float64Array;
  };
}

export interface GatewayProcess {
  readonly baseUrl: string;
  readonly tokens: readonly string[];
  readonly usage: () => Promise<Usage>;
  readonly stop: () => Promise<void>;
}

export async function startGateway(engine: EnginePlace): Promise<GatewayProcess> {
  const child = fork(new URL('./gateway-process.ts', import.meta.url), [], {
    execArgv: ['--expose-gc', '--import', import.meta.resolve('tsx')],
    serialization: 'advanced',
  });
  const ask = async (message: ToGateway): Promise<FromGateway> => {
    const answered = once(child, 'message');
    child.send(message);
    const ended = once(child, 'exit').then(() => {
      throw new Error('the gateway ended');
    });
    // Nobody waits for it any more once there is an answer.
    ended.catch(() => undefined);
    const [answer] = (await Promise.race([answered, ended])) as [FromGateway];
    return answer;
  };
  const opened = await ask({ kind: 'open', linkPort: engine.linkPort, token: engine.token });
  if (opened.kind !== 'opened') throw new TypeError(`the gateway said ${opened.kind}`);
  return {
    ...opened,
    usage: async () => {
      const usage = await ask({ kind: 'usage' });
      if (usage.kind !== 'usage') throw new TypeError(`the gateway said ${usage.kind}`);
      return usage;
    },
    stop: async () => {
      child.kill('SIGTERM');
      await once(child, 'exit');
    },
  };
}
