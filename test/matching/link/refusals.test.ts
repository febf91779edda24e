import { once } from 'node:events';
import { connect as connectSocket } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { commandBytes, commandSlots, writeCommand } from '../../../matching/commands.ts';
import { configHashOf } from '../../../matching/journal/index.ts';
import { connectLink } from '../../../matching/link/index.ts';
import {
  closeCode,
  decode,
  encodeClientHello,
  encodeServerHello,
  head,
  messageKind,
  protocolVersion,
} from '../../../matching/link/wire.ts';
import { semanticsVersion } from '../../../matching/vocabulary.ts';
import { loadConfig, sequenced } from '../../support/matching-load.ts';
import { bodies, HeldDisk, until } from '../journal/fixture.ts';
import { atEnd, codeOf, connect, expectSame, serve, serveAgain, token } from './fixture.ts';
import { Relay } from './relay.ts';

const meaning = {
  protocol: protocolVersion,
  semantics: semanticsVersion,
  configHash: Buffer.from(configHashOf(loadConfig)).toString('hex'),
};

/** Speaks the protocol by hand. */
async function raw(url: string) {
  const socket = new WebSocket(url, { headers: { authorization: `Bearer ${token}` } });
  atEnd(async () => socket.terminate());
  const kinds: number[] = [];
  socket.on('error', () => undefined);
  const closed = new Promise<number>((resolve) => {
    socket.on('close', resolve);
  });
  const hello = new Promise<void>((resolve) => {
    socket.on('message', (data) => {
      kinds.push(decode(data).kind);
      resolve();
    });
  });
  await hello;
  return { socket, kinds, closed };
}

/** A connection that says this, keeps its own end open, and reads nothing after it was told that all is said. */
async function stuck(port: number, text: string) {
  const socket = connectSocket({ port, host: '127.0.0.1', allowHalfOpen: true });
  atEnd(async () => socket.destroy());
  socket.on('error', () => undefined).resume();
  await once(socket, 'connect');
  socket.write(text);
  return socket;
}
const upgrade = (authorization: string): string =>
  `GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nauthorization: ${authorization}\r\n\r\n`;

describe('an end that does not let go', () => {
  test.each([
    ['says nothing', ''],
    ['stops in the middle of its request', 'GET / HTTP/1.1\r\nhost: x\r\n'],
    ['was refused', upgrade('Bearer nobody')],
  ])('keeps no server from closing: it %s', async (_, text) => {
    const { server } = await serve();
    const socket = await stuck(server.port, text);
    if (text.endsWith('\r\n\r\n')) await once(socket, 'end');
    await server.close();
  });

  test('that was refused takes no place from others', async () => {
    const { server, url, notices } = await serve({ server: { limits: { clientsMax: 1 } } });
    for (let at = 0; at < 4; at++) await once(await stuck(server.port, upgrade('Bearer nobody')), 'end');
    expect(notices.filter(({ kind }) => kind === 'client-refused')).toHaveLength(4);
    await connect(url).link.ready();
  });
});

describe('a connection is refused', () => {
  test('with another token, until both have the same', async () => {
    const { sequencer, folder, server, notices } = await serve();
    const other = await serveAgain(sequencer, folder, { token: 'another-token-that-is-long-enough' });
    const relay = await Relay.to(other.server.port);
    const linked = connect(relay.url);
    expect(await codeOf(linked.link.ready())).toBe('MATCHING_LINK_REFUSED');
    expect(other.notices).toContainEqual(
      expect.objectContaining({ kind: 'client-refused', problem: 'another token' }),
    );
    expect(JSON.stringify([other.notices, linked.notices])).not.toContain(token);
    expect(await codeOf(linked.link.submit({ kind: 'open-account', account: 1 }))).toBe('MATCHING_LINK_DOWN');
    // Somebody repairs it.
    relay.lead(server.port);
    await until(() => linked.link.state().connected);
    await linked.link.ready();
    await expectSame(linked, sequencer);
    expect(notices.filter(({ kind }) => kind === 'client-refused')).toEqual([]);
  });

  test('of one address of two is no refusal: the other one serves', async () => {
    const { sequencer, folder, url } = await serve();
    const other = await serveAgain(sequencer, folder, { token: 'another-token-that-is-long-enough' });
    const linked = connect([other.url, url]);
    await linked.link.ready();
    expect(linked.notices.map(({ kind }) => kind)).toEqual(['disconnected', 'connected', 'reset']);
  });

  test('with another configuration', async () => {
    const { url } = await serve();
    const { link, notices } = connect(url, { config: { ...loadConfig, clientIdsKept: 3 } });
    await expect(link.ready()).rejects.toThrow('another configuration');
    expect(await codeOf(link.ready())).toBe('MATCHING_LINK_REFUSED');
    expect(notices).toContainEqual(expect.objectContaining({ kind: 'disconnected', isRefused: true }));
  });

  test.each([
    [
      'protocol',
      { protocol: protocolVersion + 1 },
      `protocol ${protocolVersion + 1} instead of ${protocolVersion}`,
    ],
    ['semantics', { semantics: semanticsVersion + 1 }, `semantics ${semanticsVersion + 1} instead`],
  ])('of an engine with another %s', async (_, other, problem) => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    atEnd(async () => server.close());
    await once(server, 'listening');
    server.on('connection', (socket) => {
      const of = { engineName: 'main', epoch: 1, epochFirstSeq: 1, epochBefore: 0, seq: 0, hashEvery: 1 };
      socket.send(encodeServerHello({ ...meaning, ...of, ...other }));
    });
    const address = server.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    const { link } = connect(`ws://127.0.0.1:${port}`);
    await expect(link.ready()).rejects.toThrow(problem);
    expect(await codeOf(link.ready())).toBe('MATCHING_LINK_REFUSED');
  });

  test.each([
    ['protocol', { protocol: protocolVersion + 1 }, closeCode.otherProtocol],
    ['semantics', { semantics: semanticsVersion + 1 }, closeCode.otherSemantics],
    ['configuration', { configHash: '0'.repeat(64) }, closeCode.otherConfig],
  ])('of a client with another %s', async (_, other, code) => {
    const { socket, closed } = await raw((await serve()).url);
    socket.send(encodeClientHello({ ...meaning, seq: 0, ...other }));
    expect(await closed).toBe(code);
  });

  test('of an engine that is settled under another name than the one before', async () => {
    const { sequencer, folder, server } = await serve();
    const other = await serveAgain(sequencer, folder, { engineName: 'other' });
    const relay = await Relay.to(server.port);
    const { link } = connect(relay.url);
    await link.ready();
    relay.lead(other.server.port);
    relay.cut();
    await until(() => !link.state().connected);
    await until(() => other.notices.some(({ kind }) => kind === 'client-gone'));
    expect(link.state().connected).toBe(false);
    expect(link.engineName).toBe('main');
  });

  test('of more clients than there are to be', async () => {
    const { url, notices } = await serve({ server: { limits: { clientsMax: 2 } } });
    const first = [connect(url), connect(url)];
    await Promise.all(first.map(async ({ link }) => await link.ready()));
    const third = connect(url);
    await until(() => third.notices.length > 0);
    expect(third.notices[0]).toMatchObject({ kind: 'disconnected', isRefused: false });
    expect(notices).toContainEqual(expect.objectContaining({ kind: 'client-refused' }));
    await first[0]?.link.close();
    await third.link.ready();
  });

  test('of more clients than there are to be, also when all come at once', async () => {
    const disk = new HeldDisk();
    const { sequencer, url, notices } = await serve({
      sequencer: { files: disk.files },
      server: { limits: { clientsMax: 2 } },
    });
    // Nobody is let in before the engine has said that it is the primary, which it says when this is durable.
    const submitted = sequencer.submit({ kind: 'open-account', account: 1 });
    await until(() => disk.holds === 1);
    const all = Array.from({ length: 6 }, () => connect(url));
    await new Promise((resolve) => setTimeout(resolve, 300));
    disk.letGo();
    await submitted;
    const count = (kind: string): number => notices.filter((notice) => notice.kind === kind).length;
    await until(() => count('client-connected') + count('client-refused') >= all.length);
    await until(() => count('client-connected') >= 2);
    expect(count('client-connected')).toBe(2);
  });

  test('that says nothing', async () => {
    const { closed } = await raw((await serve({ server: { limits: { helloMs: 50 } } })).url);
    expect(await closed).toBe(closeCode.noHello);
  });

  test('that does not answer a ping any more', async () => {
    const { url, notices } = await serve({ server: { limits: { pingMs: 50 } } });
    const { socket } = await raw(url);
    socket.pause();
    await until(() => notices.some((notice) => notice.kind === 'client-gone'));
    expect(notices).toContainEqual(
      expect.objectContaining({ code: closeCode.tooSlow, reason: 'no answer to a ping' }),
    );
  });

  test('that is no WebSocket', async () => {
    const { server } = await serve();
    const response = await fetch(`http://127.0.0.1:${server.port}/`);
    expect(response.status).toBe(426);
  });

  test.each([
    ['a token that is short', { token: 'short' }],
    ['a token no header can hold', { token: `${token}\r\nx: y` }],
    ['an address that is none', { url: 'engine:7000' }],
    ['an address of another kind', { url: 'http://127.0.0.1:1' }],
    ['no address', { url: [] }],
  ])('before it is tried, with %s', async (_, wrong) => {
    expect(() => connectLink({ url: 'ws://127.0.0.1:1', token, config: loadConfig, ...wrong })).toThrow(
      expect.objectContaining({ code: 'MATCHING_CONFIG_INVALID' }),
    );
  });
});

describe('a client that does not keep to the protocol', () => {
  const order = (): Buffer => {
    const slots = commandSlots(new ArrayBuffer(commandBytes));
    writeCommand(slots, 0, sequenced({ kind: 'open-account', account: 1 }, 0, 0));
    const bytes = head(messageKind.submit, commandBytes, { count: 1, number: 1 });
    bytes.set(slots.bytes, 16);
    return bytes;
  };

  test('is cut off, whatever it sends; nothing of it is taken, and the others are served', async () => {
    const { sequencer, url } = await serve();
    const linked = connect(url);
    await linked.link.ready();
    const messages = fc.oneof(
      fc.uint8Array({ maxLength: 80 }),
      fc
        .record({
          kind: fc.integer({ min: 0, max: 12 }),
          count: fc.integer({ min: 0, max: 300 }),
          content: fc.uint8Array({ maxLength: 130 }),
        })
        .map(({ kind, count, content }) => Buffer.concat([head(kind, 0, { count }), content])),
      fc.string().map((text) => Buffer.concat([head(messageKind.clientHello, 0), Buffer.from(text)])),
      fc.constant(order()),
    );
    await fc.assert(
      fc.asyncProperty(messages, fc.boolean(), async (bytes, isText) => {
        const { socket, closed } = await raw(url);
        socket.send(bytes, { binary: !isText });
        // 1007 of RFC 6455: text that is no UTF-8.
        expect([closeCode.badMessage, 1007]).toContain(await closed);
      }),
      { numRuns: 60 },
    );
    expect(sequencer.lastSeq).toBe(0);
    await linked.link.submit({ kind: 'open-account', account: 1 });
    await expectSame(linked, sequencer);
  });

  test('is cut off with a message that is too large, or with more commands than go at once', async () => {
    const { url } = await serve();
    const large = await raw(url);
    large.socket.send(Buffer.alloc(1 << 16));
    // RFC 6455: too big to process.
    expect(await large.closed).toBe(1009);
    const many = await raw(url);
    many.socket.send(encodeClientHello({ ...meaning, seq: 0 }));
    many.socket.send(head(messageKind.submit, 0, { count: 257 }));
    expect(await many.closed).toBe(closeCode.badMessage);
  });
});

/** So many that both ends' systems do not hold them for a client that does not read; cheap for the engine. */
const bulk = 8_192;
function bulkSlots() {
  const slots = commandSlots(new ArrayBuffer(bulk * commandBytes));
  bodies(16).forEach((body, at) => {
    writeCommand(slots, at, sequenced(body, 0, 0));
  });
  // What is cancelled does not exist.
  for (let at = 16; at < bulk; at++)
    writeCommand(slots, at, sequenced({ kind: 'cancel', account: 1, orderId: 1 }, 0, 0));
  return slots;
}

test('a client that pauses while it catches up is waited for', { timeout: 120_000 }, async () => {
  const { sequencer, url, notices } = await serve({ server: { limits: { recentCommands: 1 << 14 } } });
  const slots = bulkSlots();
  for (let round = 0; round < 30; round++) await sequencer.published(sequencer.submitSlots(slots, 0, bulk));
  const { socket } = await raw(url);
  let seq = 0;
  let gaps = 0;
  let paused = 0;
  socket.on('message', (data) => {
    const { kind, count, number } = decode(data);
    if (kind !== messageKind.commands) return;
    if (number !== seq + 1) gaps++;
    seq = number + count - 1;
    if (paused === 4) return;
    paused++;
    socket.pause();
    setTimeout(() => socket.resume(), 200);
  });
  socket.send(encodeClientHello({ ...meaning, seq: 0 }));
  await until(() => seq === 30 * bulk || socket.readyState !== socket.OPEN);
  expect({ seq, gaps, paused }).toEqual({ seq: 30 * bulk, gaps: 0, paused: 4 });
  expect(notices.filter(({ kind }) => kind === 'client-gone')).toEqual([]);
});

test('a client that does not read is cut off; the engine and the others go on', {
  timeout: 120_000,
}, async () => {
  const { sequencer, url, notices } = await serve({
    server: { limits: { recentCommands: 1 << 15, pingMs: 1_000_000 } },
  });
  const linked = connect(url);
  await linked.link.ready();
  const { socket, closed } = await raw(url);
  socket.send(encodeClientHello({ ...meaning, seq: 0 }));
  socket.pause();
  const slots = bulkSlots();
  let sent = 0;
  while (!notices.some(({ kind }) => kind === 'client-gone')) {
    await sequencer.published(sequencer.submitSlots(slots, 0, bulk));
    sent += bulk;
    expect(sent).toBeLessThan(2_000_000);
  }
  const gone = notices.find((notice) => notice.kind === 'client-gone');
  expect(gone).toMatchObject({ code: closeCode.tooSlow });
  expect(gone?.reason).toMatch(/^too slow/);
  socket.resume();
  // Its goodbye stands behind what it did not take.
  expect([closeCode.tooSlow, 1006]).toContain(await closed);
  await expectSame(linked, sequencer);
  expect(linked.resets).toEqual([0]);
  expect(linked.link.view().seq).toBe(sent);
});
