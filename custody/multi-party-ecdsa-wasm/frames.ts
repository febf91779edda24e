/** The byte records that cross the module's ABI; the Rust side is src/codec.rs. */
import type { IncomingMessage, OutgoingMessage } from './contract.ts';

const inboxHeaderBytes = 6;
const outboxHeaderBytes = 5;
const transcriptBytes = 32;
const publicKeyBytes = 33;
const chainCodeBytes = 32;
const infoBytes = 3 + publicKeyBytes + chainCodeBytes;
const signatureBytes = 64 + 1 + publicKeyBytes;

/** `{ from: u8, broadcast: u8, length: u32 le, payload }*`; the caller has checked `from` to be a byte. */
export function encodeInbox(messages: readonly IncomingMessage[]): Uint8Array<ArrayBuffer> {
  const total = messages.reduce((sum, message) => sum + inboxHeaderBytes + message.payload.length, 0);
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  let offset = 0;
  for (const message of messages) {
    view.setUint8(offset, message.from);
    view.setUint8(offset + 1, message.broadcast ? 1 : 0);
    view.setUint32(offset + 2, message.payload.length, true);
    bytes.set(message.payload, offset + inboxHeaderBytes);
    offset += inboxHeaderBytes + message.payload.length;
  }
  return bytes;
}

/** `{ to: u8, length: u32 le, payload }*` */
export function decodeOutbox(bytes: Uint8Array): OutgoingMessage[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const messages: OutgoingMessage[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    const to = view.getUint8(offset);
    const start = offset + outboxHeaderBytes;
    const end = start + view.getUint32(offset + 1, true);
    if (end > bytes.length) throw new RangeError('the module gave a truncated outbox');
    messages.push({ to, payload: bytes.slice(start, end) });
    offset = end;
  }
  return messages;
}

export interface DecodedInfo {
  readonly threshold: number;
  readonly parties: number;
  readonly party: number;
  readonly publicKey: Uint8Array;
  readonly chainCode: Uint8Array;
}

export function decodeInfo(bytes: Uint8Array): DecodedInfo {
  const [threshold, parties, party] = bytes;
  if (bytes.length !== infoBytes || threshold === undefined || parties === undefined || party === undefined) {
    throw new RangeError('the module gave a share info of another length');
  }
  return {
    threshold,
    parties,
    party,
    publicKey: bytes.slice(3, 3 + publicKeyBytes),
    chainCode: bytes.slice(3 + publicKeyBytes),
  };
}

/** Transcript hash, share info, share. */
export function decodeDkgResult(bytes: Uint8Array) {
  const shareStart = transcriptBytes + infoBytes;
  return {
    ...decodeInfo(bytes.subarray(transcriptBytes, shareStart)),
    transcriptHash: bytes.slice(0, transcriptBytes),
    share: bytes.slice(shareStart),
  };
}

/** r, s, recovery id, public key; not yet verified. */
export function decodeSignature(bytes: Uint8Array) {
  const recoveryId = bytes[64];
  if (bytes.length !== signatureBytes || recoveryId === undefined) {
    throw new RangeError('the module gave a signature of another length');
  }
  return { compact: bytes.slice(0, 64), recoveryId, publicKey: bytes.slice(65) };
}
