/**
 * Messages between co-signers: signed by the sender, direct ones also encrypted to the receiver, each bound to its
 * session, round, sender, receiver, position and epoch. Everything here happens before the signing module sees a byte,
 * because a corrupted message inside the module looks like a cheat and would ban an honest party for good.
 *
 * Encryption: X25519 with a fresh key per message, HKDF-SHA256 (RFC 5869), AES-256-GCM with the header as associated data.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { errorsOf } from '#core/errors';
import { custodyErrors, type Envelope, protocolDomains, signedBytes } from '#custody/protocol';
import { type Identity, type Member, publicKeyOf, rawPublicKey, verifyWith } from './identity.ts';

const fail = errorsOf(custodyErrors);
const ephemeralBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;
const sealOverheadBytes = ephemeralBytes + nonceBytes + tagBytes;

export type EnvelopeKind = Envelope['kind'];
export type Place = 'broadcast' | 'direct';
export interface OpenedEnvelope {
  readonly from: number;
  readonly broadcast: boolean;
  readonly payload: Uint8Array;
}
export interface ChannelOptions {
  readonly session: string;
  /** 32 bytes that every party of the session derived by itself. */
  readonly jointId: Uint8Array;
  readonly epoch: number;
  /** All parties of the session, this one included. */
  readonly participants: readonly number[];
  readonly members: ReadonlyMap<number, Member>;
  readonly identity: Identity;
}
/** Which envelopes the session takes now; everything else ends it. */
export interface Expectation {
  readonly round: number;
  readonly kind: EnvelopeKind;
  /** What every other party must have sent. */
  readonly places: readonly Place[];
  /** Largest plain payload, bytes. */
  readonly payloadBytesMax: number;
}

type Header = Omit<Envelope, 'payload' | 'signature'>;

function refuse(reason: string, party = 0): Error {
  return fail('CUSTODY_ENVELOPE_INVALID', `envelope refused: ${reason}`, { reason, party });
}

function aeadKey(shared: Buffer, ephemeral: Uint8Array, receiver: Uint8Array, header: Uint8Array): Buffer {
  const salt = createHash('sha256').update(ephemeral).update(receiver).digest();
  const info = createHash('sha256').update(header).digest();
  return Buffer.from(hkdfSync('sha256', shared, salt, info, 32));
}

/** The messages of one session as this party sends and receives them. */
export class EnvelopeChannel {
  readonly #options: ChannelOptions;
  readonly #jointId: string;
  readonly #lastSeqOf = new Map<number, number>();
  #nextSeq = 0;

  constructor(options: ChannelOptions) {
    this.#options = options;
    this.#jointId = Buffer.from(options.jointId).toString('hex');
  }

  #member(party: number): Member {
    const member = this.#options.participants.includes(party) ? this.#options.members.get(party) : undefined;
    if (member === undefined) throw refuse('sender or receiver is not in the session', party);
    return member;
  }

  #headerBytes(header: Header): Uint8Array {
    return signedBytes(protocolDomains.envelope, { ...header, jointId: this.#jointId });
  }

  #signedBytes(header: Header, payload: Uint8Array): Uint8Array {
    const payloadHash = createHash('sha256').update(payload).digest('hex');
    return signedBytes(protocolDomains.envelope, { ...header, jointId: this.#jointId, payloadHash });
  }

  /** @param to 0 = broadcast */
  seal(kind: EnvelopeKind, round: number, to: number, plain: Uint8Array): Envelope {
    const { session, epoch, identity } = this.#options;
    const header: Header = { session, round, from: identity.party, to, seq: this.#nextSeq, epoch, kind };
    this.#nextSeq += 1;
    const payload = to === 0 ? plain : this.#encrypt(header, this.#member(to).encryptionKey, plain);
    const signature = identity.sign(this.#signedBytes(header, payload)).toString('base64');
    return { ...header, payload: Buffer.from(payload).toString('base64'), signature };
  }

  #encrypt(header: Header, receiver: KeyObject, plain: Uint8Array): Uint8Array {
    const ephemeral = generateKeyPairSync('x25519');
    const point = rawPublicKey(ephemeral.publicKey);
    const headerBytes = this.#headerBytes(header);
    const shared = diffieHellman({ privateKey: ephemeral.privateKey, publicKey: receiver });
    const nonce = randomBytes(nonceBytes);
    const cipher = createCipheriv(
      'aes-256-gcm',
      aeadKey(shared, point, rawPublicKey(receiver), headerBytes),
      nonce,
    ).setAAD(headerBytes);
    return Buffer.concat([point, nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  }

  #decrypt(header: Header, payload: Buffer): Uint8Array {
    const { identity } = this.#options;
    if (payload.length < sealOverheadBytes) throw refuse('too short for an encrypted payload', header.from);
    const point = payload.subarray(0, ephemeralBytes);
    const nonce = payload.subarray(ephemeralBytes, ephemeralBytes + nonceBytes);
    const headerBytes = this.#headerBytes(header);
    try {
      const shared = diffieHellman({
        privateKey: identity.decryptionKey,
        publicKey: publicKeyOf('x25519', point),
      });
      const key = aeadKey(shared, point, Buffer.from(identity.encryptionKey, 'hex'), headerBytes);
      const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes });
      decipher.setAAD(headerBytes).setAuthTag(payload.subarray(-tagBytes));
      const sealed = payload.subarray(ephemeralBytes + nonceBytes, -tagBytes);
      return Buffer.concat([decipher.update(sealed), decipher.final()]);
    } catch {
      throw refuse('it does not decrypt', header.from);
    }
  }

  /**
   * Authenticates all envelopes of one step, in the order their senders sent them. All or nothing.
   * @throws CUSTODY_ENVELOPE_INVALID; details.reason names the first defect, details.party the claimed sender
   */
  openAll(envelopes: readonly Envelope[], expected: Expectation): OpenedEnvelope[] {
    const ordered = [...envelopes].sort((a, b) => (a.from === b.from ? a.seq - b.seq : a.from - b.from));
    const filled = new Set<string>();
    for (const { from, to } of ordered) {
      const place = to === 0 ? 'broadcast' : 'direct';
      if (!expected.places.includes(place)) throw refuse(`no ${place} message belongs here`, from);
      if (filled.has(`${from}/${place}`)) throw refuse('two messages for one place', from);
      filled.add(`${from}/${place}`);
    }
    const opened = ordered.map((envelope) => this.#open(envelope, expected));
    for (const party of this.#options.participants)
      for (const place of expected.places)
        if (party !== this.#options.identity.party && !filled.has(`${party}/${place}`))
          throw refuse('a message is missing', party);
    return opened;
  }

  #open(envelope: Envelope, expected: Expectation): OpenedEnvelope {
    const { session, epoch, identity } = this.#options;
    const { payload: encoded, signature, ...header } = envelope;
    const { from, to } = header;
    if (header.session !== session) throw refuse('another session', from);
    if (header.epoch !== epoch) throw refuse('another epoch', from);
    if (header.round !== expected.round) throw refuse('another round', from);
    if (header.kind !== expected.kind) throw refuse('another kind', from);
    if (from === identity.party) throw refuse('our own message came back', from);
    if (to !== 0 && to !== identity.party) throw refuse('addressed to another party', from);
    const payload = Buffer.from(encoded, 'base64');
    if (payload.length > expected.payloadBytesMax + (to === 0 ? 0 : sealOverheadBytes))
      throw refuse('too large for its round', from);
    if (!verifyWith(this.#member(from).signingKey, this.#signedBytes(header, payload), signature))
      throw refuse('the signature does not verify', from);
    if (header.seq <= (this.#lastSeqOf.get(from) ?? -1)) throw refuse('replayed or out of order', from);
    this.#lastSeqOf.set(from, header.seq);
    return { from, broadcast: to === 0, payload: to === 0 ? payload : this.#decrypt(header, payload) };
  }
}
