/**
 * What the two processes say to each other, as binary WebSocket messages, little-endian.
 *
 * | bytes of every message | hold |
 * |---|---|
 * | 0 | uint32 kind |
 * | 4 | uint32 count: of commands (`commands`, `submit`) |
 * | 8 | float64: first sequence number (`commands`, `taken`), request (`submit`, `refused`) |
 * | 16 | the content |
 *
 * | kind | from | content |
 * |---|---|---|
 * | 1 server-hello | engine | JSON, {@link ServerHello}; the first message |
 * | 2 client-hello | api | JSON, {@link ClientHello}; the answer to it |
 * | 3 reset | engine | JSON, {@link ResetContent}: the view begins anew with a snapshot, whose parts follow |
 * | 4 snapshot-part | engine | bytes |
 * | 5 commands | engine | durable commands, 64 bytes each as in `commands.ts`, without a gap to those before |
 * | 6 submit | api | commands, 64 bytes each; in place of the sequence number the greatest it may get, or 0; times are not read |
 * | 7 taken | engine | float64 request; always before the commands themselves |
 * | 8 refused | engine | JSON, {@link RefusedContent}: nothing of the request was taken |
 * | 9 status | engine | JSON, {@link StatusContent} |
 *
 * Each side checks the version of the protocol, the semantics and the configuration in the other's hello.
 */
import { z } from 'zod';
import { errorsOf } from '#core/errors';
import { commandBytes } from '../commands.ts';
import { matchingErrors } from '../errors.ts';
import { messageCommandsMax, snapshotBytesMax, snapshotPartBytes } from './limits.ts';
import { linkBatchMax } from './types.ts';

const fail = errorsOf(matchingErrors);

export const protocolVersion = 2;
export const headBytes = 16;
export const messageKind = {
  serverHello: 1,
  clientHello: 2,
  reset: 3,
  snapshotPart: 4,
  commands: 5,
  submit: 6,
  taken: 7,
  refused: 8,
  status: 9,
} as const;
/** Largest message to the api, and to the engine; hellos are far smaller. */
export const toClientBytesMax = headBytes + Math.max(messageCommandsMax * commandBytes, snapshotPartBytes);
export const toServerBytesMax = headBytes + linkBatchMax * commandBytes;

/** Why a connection is closed; in the range RFC 6455 leaves to applications. */
export const closeCode = {
  otherProtocol: 4001,
  otherSemantics: 4002,
  otherConfig: 4003,
  otherEngine: 4004,
  stalePrimary: 4005,
  badMessage: 4400,
  noHello: 4408,
  tooSlow: 4409,
  diverged: 4410,
  tooMany: 4429,
  noHistory: 4500,
  stopped: 4503,
} as const;
/** What RFC 6455 has room for: 123 bytes. */
export const closeReason = (text: string): string => text.replace(/[^\x20-\x7e]/g, '?').slice(0, 120);
/** A person has to change something before it can be better. */
export const isRefusal = (code: number): boolean =>
  code === closeCode.otherProtocol ||
  code === closeCode.otherSemantics ||
  code === closeCode.otherConfig ||
  code === closeCode.otherEngine ||
  code === closeCode.badMessage;

const seq = z.number().int().min(0);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const stateHash = z.strictObject({ seq, hash: z.string().regex(/^[0-9a-f]{32}$/) });

/** What both must have in common; more fields are for later versions to add, so that a mismatch is named as one. */
const meaning = { protocol: z.number().int(), semantics: z.number().int(), configHash: sha256 };
const serverHelloSchema = z.object({
  ...meaning,
  engineName: z.string().min(1).max(200),
  epoch: z.number().int().min(1),
  /** The first command of the epoch, and the epoch that wrote the journal before it. */
  epochFirstSeq: seq,
  epochBefore: z.number().int().min(0),
  /** Last durable command: the view is up to date when it has it. */
  seq,
  hashEvery: z.number().int().min(1),
});
export type ServerHello = z.output<typeof serverHelloSchema>;
const clientHelloSchema = z.object({
  ...meaning,
  /** Last command the view has; 0: it has none, or is not to be gone on with. */
  seq,
});
export type ClientHello = z.output<typeof clientHelloSchema>;
const resetSchema = z.strictObject({
  seq,
  stateHash: z.string(),
  /** Of the snapshot; 0: an engine without commands. */
  bytes: z.number().int().min(0).max(snapshotBytesMax),
});
export type ResetContent = z.output<typeof resetSchema>;
const refusedSchema = z.strictObject({
  code: z.enum(['MATCHING_BUSY', 'MATCHING_SETTLEMENT_LAGS', 'MATCHING_STOPPED', 'MATCHING_COMMAND_LATE']),
  message: z.string().max(1_000),
});
export type RefusedContent = z.output<typeof refusedSchema>;
const statusSchema = z.strictObject({
  settlementLags: z.boolean(),
  /** State hash after a command that was sent before this message. */
  stateHash: stateHash.optional(),
});
export type StatusContent = z.output<typeof statusSchema>;

// ---------------------------------------------------------------- write

export function head(
  kind: number,
  content: number,
  { count = 0, number = 0 }: { readonly count?: number; readonly number?: number } = {},
): Buffer {
  const bytes = Buffer.allocUnsafe(headBytes + content);
  writeHead(bytes, kind, { count, number });
  return bytes;
}

/** Into the first bytes of a message whose content is there already. */
export function writeHead(
  bytes: Uint8Array,
  kind: number,
  { count, number }: { readonly count: number; readonly number: number },
): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, headBytes);
  view.setUint32(0, kind, true);
  view.setUint32(4, count, true);
  view.setFloat64(8, number, true);
}

const withJson = (kind: number, content: unknown, number = 0): Buffer => {
  const text = Buffer.from(JSON.stringify(content));
  const bytes = head(kind, text.length, { number });
  bytes.set(text, headBytes);
  return bytes;
};
export const encodeServerHello = (hello: ServerHello): Buffer => withJson(messageKind.serverHello, hello);
export const encodeClientHello = (hello: ClientHello): Buffer => withJson(messageKind.clientHello, hello);
export const encodeReset = (content: ResetContent): Buffer => withJson(messageKind.reset, content);
export const encodeStatus = (content: StatusContent): Buffer => withJson(messageKind.status, content);
export const encodeRefused = (request: number, content: RefusedContent): Buffer =>
  withJson(messageKind.refused, content, request);
export function encodeTaken(request: number, firstSeq: number): Buffer {
  const bytes = head(messageKind.taken, 8, { number: firstSeq });
  bytes.writeDoubleLE(request, headBytes);
  return bytes;
}

// ---------------------------------------------------------------- read

/** Content is a part of the message's memory. */
export interface Message {
  readonly kind: number;
  readonly count: number;
  readonly number: number;
  readonly content: Buffer;
}

function wrong(what: string): Error {
  return fail('MATCHING_LINK_REFUSED', `the other end of the link sent ${what}`);
}

/** @throws MATCHING_LINK_REFUSED: it is none that this version knows */
export function decode(data: unknown): Message {
  if (!Buffer.isBuffer(data) || data.length < headBytes) throw wrong('a message that is cut off');
  const message = {
    kind: data.readUInt32LE(0),
    count: data.readUInt32LE(4),
    number: data.readDoubleLE(8),
    content: data.subarray(headBytes),
  };
  const { kind, count, content } = message;
  if (kind === messageKind.commands || kind === messageKind.submit) {
    const max = kind === messageKind.commands ? messageCommandsMax : linkBatchMax;
    if (count < 1 || count > max || content.length !== count * commandBytes)
      throw wrong(`${count} commands in ${content.length} bytes`);
  }
  if (kind === messageKind.taken && content.length !== 8) throw wrong('an answer of another length');
  return message;
}

function readJson<T extends z.ZodType>(schema: T, content: Buffer, name: string): z.output<T> {
  let value: unknown;
  try {
    value = JSON.parse(content.toString('utf8'));
  } catch {
    throw wrong(`a ${name} that is no JSON`);
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw wrong(`a ${name} of another form: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}
export const readServerHello = (content: Buffer): ServerHello =>
  readJson(serverHelloSchema, content, 'server-hello');
export const readClientHello = (content: Buffer): ClientHello =>
  readJson(clientHelloSchema, content, 'client-hello');
export const readReset = (content: Buffer): ResetContent => readJson(resetSchema, content, 'reset');
export const readRefused = (content: Buffer): RefusedContent => readJson(refusedSchema, content, 'refusal');
export const readStatus = (content: Buffer): StatusContent => readJson(statusSchema, content, 'status');
export const readTaken = ({ content, number }: Message): { request: number; firstSeq: number } => ({
  request: content.readDoubleLE(0),
  firstSeq: number,
});

export interface Meaning {
  readonly protocol: number;
  readonly semantics: number;
  readonly configHash: string;
}
/** @returns how to close the connection to someone with whom we have no common meaning */
export function mismatchOf(own: Meaning, other: Meaning): { code: number; reason: string } | undefined {
  if (own.protocol !== other.protocol)
    return {
      code: closeCode.otherProtocol,
      reason: `protocol ${other.protocol} instead of ${own.protocol}`,
    };
  if (own.semantics !== other.semantics)
    return {
      code: closeCode.otherSemantics,
      reason: `semantics ${other.semantics} instead of ${own.semantics}`,
    };
  if (own.configHash !== other.configHash)
    return { code: closeCode.otherConfig, reason: 'another configuration of the engine' };
  return undefined;
}
