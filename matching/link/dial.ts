/** One connection to the engine's process: from the first byte to its end, and why it ended. */
import { type RawData, WebSocket } from 'ws';
import { messageOf } from '#core/errors';
import { bearer } from './token.ts';
import { closeCode, closeReason, isRefusal, toClientBytesMax } from './wire.ts';

export interface ConnectionEnd {
  /** Refused: a person has to change something. */
  readonly isRefused: boolean;
  readonly problem: string;
}
export interface DialOptions {
  readonly url: string;
  readonly token: string;
  readonly connectMs: number;
  readonly silentMs: number;
  readonly onMessage: (data: RawData, isBinary: boolean, connection: Connection) => void;
}
/** An end that hears nothing any more from the moment it is closed. */
export interface Connection {
  readonly send: (bytes: Buffer) => void;
  readonly close: (code: number, reason: string) => void;
  readonly ended: Promise<ConnectionEnd>;
}

/** For the goodbye; then without. */
const closeMs = 1_000;

export function dial(options: DialOptions): Connection {
  const { url, token, connectMs, silentMs, onMessage } = options;
  const socket = new WebSocket(url, {
    perMessageDeflate: false,
    maxPayload: toClientBytesMax,
    handshakeTimeout: connectMs,
    headers: { authorization: bearer(token) },
  });
  let end: ConnectionEnd | undefined;
  let isClosing = false;
  let heard = 0;
  let silence = setTimeout(() => cut('the engine did not answer in time'), connectMs);
  const cut = (problem: string): void => {
    end ??= { isRefused: false, problem };
    isClosing = true;
    socket.terminate();
  };
  const hear = (): void => {
    heard++;
    clearTimeout(silence);
    silence = setTimeout(() => {
      // After long work of our own the timer is due before what waits in the socket is read.
      const before = heard;
      setImmediate(() => {
        if (heard === before) cut(`nothing was heard for ${silentMs} ms`);
      });
    }, silentMs);
  };
  const connection: Connection = {
    send: (bytes) => {
      if (socket.readyState === socket.OPEN) socket.send(bytes);
    },
    close: (code, reason) => {
      if (isClosing) return;
      end ??= { isRefused: isRefusal(code), problem: reason };
      isClosing = true;
      clearTimeout(silence);
      silence = setTimeout(() => socket.terminate(), closeMs);
      socket.close(code, closeReason(reason));
    },
    ended: new Promise((resolve) => {
      socket.on('close', (code, reason) => {
        clearTimeout(silence);
        const text = reason.toString('utf8');
        resolve(
          end ?? {
            isRefused: isRefusal(code),
            problem: `closed with ${code}${text === '' ? '' : `: ${text}`}`,
          },
        );
      });
    }),
  };
  socket.on('unexpected-response', (_, { statusCode = 0 }) => {
    end ??= {
      isRefused: statusCode === 401,
      problem: statusCode === 401 ? 'it has another token' : `answered with HTTP ${statusCode}`,
    };
    socket.terminate();
  });
  // The end comes after it.
  socket.on('error', (error) => {
    const { message } = error;
    end ??= { isRefused: false, problem: message === '' ? error.name : message };
  });
  socket.on('ping', hear);
  socket.on('message', (data, isBinary) => {
    if (isClosing) return;
    hear();
    try {
      onMessage(data, isBinary, connection);
    } catch (error) {
      connection.close(closeCode.badMessage, messageOf(error));
    }
  });
  return connection;
}
