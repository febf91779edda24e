/** One WebSocket to the stream that comes back when it is lost, with pauses that grow. */
import { randomInt } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import { messageOf, type StrongroomError } from '#core/errors';
import { closeCodes, streamLimits, streamPath } from '../stream/limits.ts';
import { type Credentials, credentialHeaders, type RequestToProve } from './credentials.ts';
import { errorOfProblem, fail } from './errors.ts';

const firstPauseMs = 200;
const longestPauseMs = 10_000;
const handshakeMs = 10_000;
/** The server asks for a sign of life twice as often at least. */
const silenceMs = 2.5 * streamLimits.heartbeatMs;
const silenceLookMs = streamLimits.heartbeatMs / 3;
/** A snapshot of 1,000 levels is 80 KiB; one of an account with 50,000 open orders 16 MiB. */
const inboundBytesMax = 32 * 2 ** 20;
const refusalBytesMax = 64 * 1_024;
const normalClosure = 1000;
/** Coming back would end the same way. */
const finalCodes: readonly number[] = [closeCodes.credentialsEnded, closeCodes.invalidMessages];

export interface ConnectionEvents {
  readonly onOpen: () => void;
  /** One JSON document. */
  readonly onText: (text: string) => void;
  /** @param isFinal it will not come back */
  readonly onLost: (why: StrongroomError, isFinal: boolean) => void;
}
export interface ConnectionOptions {
  readonly baseUrl: string;
  readonly credentials: Credentials;
  readonly timestampMs: (request: RequestToProve) => number;
  readonly events: ConnectionEvents;
}

export class ReconnectingSocket {
  readonly #options: ConnectionOptions;
  #ws: WebSocket | undefined;
  #pauseMs = firstPauseMs;
  #pause: NodeJS.Timeout | undefined;
  /** Looks now and then: a timer that is set anew for each message costs more than the message. */
  #silence: NodeJS.Timeout | undefined;
  #heardMs = 0;
  #isClosed = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#connect();
  }

  get isOpen(): boolean {
    return this.#ws?.readyState === WebSocket.OPEN;
  }

  /** @returns false when it is not connected; nothing was sent then */
  send(text: string): boolean {
    if (!this.isOpen) return false;
    this.#ws?.send(text);
    return true;
  }

  /** As a network would do it: no goodbye, and then it comes back. */
  cut(): void {
    this.#ws?.terminate();
  }

  /** Resolves when the connection is gone. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#pause);
    clearInterval(this.#silence);
    const ws = this.#ws;
    if (ws === undefined || ws.readyState === WebSocket.CLOSED) return;
    const closed = new Promise<void>((resolve) => {
      ws.once('close', () => {
        resolve();
      });
    });
    ws.close(normalClosure);
    const late = setTimeout(() => {
      ws.terminate();
    }, streamLimits.closeGraceMs);
    await closed;
    clearTimeout(late);
  }

  #connect(): void {
    const { baseUrl, credentials, timestampMs, events } = this.#options;
    const proof = { method: 'GET', path: streamPath, body: '' };
    const ws = new WebSocket(`${baseUrl.replace(/^http/, 'ws')}${streamPath}`, {
      headers: credentialHeaders(credentials, proof, timestampMs(proof)),
      perMessageDeflate: false,
      handshakeTimeout: handshakeMs,
      maxPayload: inboundBytesMax,
    });
    this.#ws = ws;
    let refusal: StrongroomError | undefined;
    ws.on('open', () => {
      this.#listen(ws);
      events.onOpen();
    });
    ws.on('message', (data: Buffer) => {
      // Connected is one that says something: a server that only closes is left alone for longer each time.
      this.#pauseMs = firstPauseMs;
      this.#heardMs = performance.now();
      events.onText(data.toString());
    });
    ws.on('ping', () => {
      this.#heardMs = performance.now();
    });
    ws.on('unexpected-response', (_request, answer) => {
      void refusalOf(answer).then((error) => {
        refusal = error;
        ws.terminate();
      });
    });
    ws.on('error', (error) => {
      refusal ??= fail('API_CLIENT_NO_ANSWER', `the stream: ${messageOf(error)}`, {}, error);
    });
    ws.on('close', (code, reason) => {
      clearInterval(this.#silence);
      if (this.#isClosed) return;
      const why =
        refusal ??
        fail('API_CLIENT_NO_ANSWER', `the stream was closed: ${code} ${reason.toString()}`, { code });
      const isFinal = finalCodes.includes(code) || isRefusedForGood(refusal);
      this.#isClosed = isFinal;
      events.onLost(why, isFinal);
      if (!isFinal) this.#comeBack();
    });
  }

  #comeBack(): void {
    // Up to twice as long: else all clients of a server that ends come back at once.
    const pauseMs = this.#pauseMs + randomInt(this.#pauseMs);
    this.#pauseMs = Math.min(longestPauseMs, 2 * this.#pauseMs);
    this.#pause = setTimeout(() => {
      this.#connect();
    }, pauseMs);
  }

  #listen(ws: WebSocket): void {
    this.#heardMs = performance.now();
    this.#silence = setInterval(() => {
      if (performance.now() - this.#heardMs > silenceMs) ws.terminate();
    }, silenceLookMs);
    this.#silence.unref();
  }
}

const isRefusedForGood = (error: StrongroomError | undefined): boolean =>
  error !== undefined &&
  !error.retryable &&
  (error.kind === 'forbidden' ||
    error.kind === 'not_found' ||
    error.kind === 'invalid' ||
    isUnknownKey(error));
/** A timestamp that is off, or a repeated signature, is good the next time perhaps. */
const isUnknownKey = ({ code }: StrongroomError): boolean =>
  code === 'API_UNAUTHENTICATED' || code === 'API_SIGNATURE_INVALID';

async function refusalOf(answer: IncomingMessage): Promise<StrongroomError> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const details = { status: answer.statusCode ?? 0 };
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > refusalBytesMax) break;
      chunks.push(chunk);
    }
    return errorOfProblem(JSON.parse(Buffer.concat(chunks).toString()), details);
  } catch (error) {
    return fail('API_CLIENT_ANSWER_INVALID', 'the stream was refused without a problem', details, error);
  }
}
