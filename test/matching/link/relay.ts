/** Between a link and its engine: cuts, holds back, or changes what passes. */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { atEnd } from './fixture.ts';

export class Relay {
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  /** What the engine says is kept here, not passed on. */
  #held: (() => void)[] | undefined;
  /** Of what the engine says. */
  change: (bytes: Buffer) => Buffer = (bytes) => bytes;
  connections = 0;
  isRefusing = false;
  #targetPort: number;
  port = 0;

  private constructor(targetPort: number) {
    this.#targetPort = targetPort;
  }

  static async to(targetPort: number): Promise<Relay> {
    const relay = new Relay(targetPort);
    const server = createServer((client) => relay.#serve(client));
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    relay.port = (server.address() as AddressInfo).port;
    atEnd(
      async () =>
        await new Promise<void>((resolve) => {
          server.close(() => resolve());
          relay.cut();
        }),
    );
    return relay;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}`;
  }

  /** Whoever connects from now on gets there. */
  lead(toPort: number): void {
    this.#targetPort = toPort;
  }

  cut(): void {
    this.#held = undefined;
    for (const pair of this.#pairs) for (const socket of pair) socket.resetAndDestroy();
    this.#pairs.clear();
  }

  /** What the engine says waits from now on. */
  hold(): void {
    this.#held = [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const pass of held) pass();
  }

  #serve(client: Socket): void {
    if (this.isRefusing) {
      client.resetAndDestroy();
      return;
    }
    this.connections++;
    const engine = connect(this.#targetPort, '127.0.0.1');
    const pair = [client, engine] as const;
    this.#pairs.add(pair);
    for (const socket of pair) {
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#pairs.delete(pair);
        for (const other of pair) other.destroy();
      });
    }
    client.on('data', (bytes) => void engine.write(bytes));
    engine.on('data', (bytes) => {
      const pass = (): void => void client.write(this.change(bytes));
      if (this.#held === undefined) pass();
      else this.#held.push(pass);
    });
  }
}
