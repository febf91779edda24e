/**
 * A passkey authenticator in software (P-256, "none" attestation), for development and tests only: a roster that lists one
 * is marked `dev`, and a co-signer that was not started with --dev refuses it.
 */
import {
  createHash,
  createPrivateKey,
  createSign,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { z } from 'zod';

const sha256 = (data: Uint8Array | string): Buffer => createHash('sha256').update(data).digest();
const b64u = (data: Uint8Array): string => Buffer.from(data).toString('base64url');
const u16 = (n: number): Buffer => Buffer.from([n >> 8, n & 255]);
const flags = { userPresent: 0x01, userVerified: 0x04, attestedData: 0x40 };

/** CBOR for the two fixed shapes a registration needs (RFC 8949). */
const cborBytes = (data: Buffer): Buffer =>
  data.length < 24
    ? Buffer.concat([Buffer.from([0x40 | data.length]), data])
    : data.length < 256
      ? Buffer.concat([Buffer.from([0x58, data.length]), data])
      : Buffer.concat([Buffer.from([0x59]), u16(data.length), data]);
const cborText = (text: string): Buffer =>
  Buffer.concat([Buffer.from([0x60 | text.length]), Buffer.from(text)]);

/** The file of a development passkey; whoever reads it can approve as its owner. */
export const softwarePasskeyFileSchema = z.strictObject({
  dev: z.literal(true),
  person: z.string().min(1).max(64),
  rpId: z.string().min(1),
  origin: z.string().min(1),
  credentialId: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  privateKey: z.string().startsWith('-----BEGIN PRIVATE KEY-----'),
});
export type SoftwarePasskeyFile = z.infer<typeof softwarePasskeyFileSchema>;

export class SoftwarePasskey {
  readonly rpId: string;
  readonly origin: string;
  readonly credentialId: Buffer;
  readonly cosePublicKey: Buffer;
  /** Uncompressed SEC1 point (65 bytes), what noble P-256 takes. */
  readonly sec1PublicKey: Buffer;
  readonly #privateKey: KeyObject;
  #signCount = 0;

  constructor(options: { rpId: string; origin: string; credentialId?: Buffer; privateKey?: KeyObject }) {
    this.rpId = options.rpId;
    this.origin = options.origin;
    this.credentialId = options.credentialId ?? randomBytes(32);
    this.#privateKey = options.privateKey ?? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    // The JWK of a private key carries its public point too.
    const jwk = this.#privateKey.export({ format: 'jwk' });
    const x = Buffer.from(jwk.x ?? '', 'base64url');
    const y = Buffer.from(jwk.y ?? '', 'base64url');
    this.sec1PublicKey = Buffer.concat([Buffer.from([4]), x, y]);
    // COSE_Key {1:2 (EC2), 3:-7 (ES256), -1:1 (P-256), -2:x, -3:y}
    this.cosePublicKey = Buffer.concat([
      Buffer.from('a501020326200121', 'hex'),
      cborBytes(x),
      Buffer.from([0x22]),
      cborBytes(y),
    ]);
  }

  static fromFile(file: SoftwarePasskeyFile): SoftwarePasskey {
    return new SoftwarePasskey({
      rpId: file.rpId,
      origin: file.origin,
      credentialId: Buffer.from(file.credentialId, 'base64url'),
      privateKey: createPrivateKey(file.privateKey),
    });
  }

  toFile(person: string): SoftwarePasskeyFile {
    return {
      dev: true,
      person,
      rpId: this.rpId,
      origin: this.origin,
      credentialId: b64u(this.credentialId),
      privateKey: this.#privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    };
  }

  #authenticatorData(extra: Buffer, flag: number): Buffer {
    const count = Buffer.alloc(4);
    count.writeUInt32BE(this.#signCount++);
    return Buffer.concat([
      sha256(this.rpId),
      Buffer.from([flags.userPresent | flags.userVerified | flag]),
      count,
      extra,
    ]);
  }

  #clientData(type: 'webauthn.create' | 'webauthn.get', challenge: Uint8Array): Buffer {
    return Buffer.from(
      JSON.stringify({ type, challenge: b64u(challenge), origin: this.origin, crossOrigin: false }),
    );
  }

  register(challenge: Uint8Array) {
    const attested = Buffer.concat([
      Buffer.alloc(16),
      u16(this.credentialId.length),
      this.credentialId,
      this.cosePublicKey,
    ]);
    const attestationObject = Buffer.concat([
      Buffer.from([0xa3]),
      cborText('fmt'),
      cborText('none'),
      cborText('attStmt'),
      Buffer.from([0xa0]),
      cborText('authData'),
      cborBytes(this.#authenticatorData(attested, flags.attestedData)),
    ]);
    const id = b64u(this.credentialId);
    return {
      id,
      rawId: id,
      type: 'public-key' as const,
      clientExtensionResults: {},
      response: {
        clientDataJSON: b64u(this.#clientData('webauthn.create', challenge)),
        attestationObject: b64u(attestationObject),
      },
    };
  }

  /** The challenge is SHA-256 of the approval statement. */
  assert(challenge: Uint8Array) {
    const authenticatorData = this.#authenticatorData(Buffer.alloc(0), 0);
    const clientData = this.#clientData('webauthn.get', challenge);
    const signature = createSign('sha256')
      .update(authenticatorData)
      .update(sha256(clientData))
      .sign(this.#privateKey); // DER
    const id = b64u(this.credentialId);
    return {
      id,
      rawId: id,
      type: 'public-key' as const,
      clientExtensionResults: {},
      response: {
        clientDataJSON: b64u(clientData),
        authenticatorData: b64u(authenticatorData),
        signature: b64u(signature),
      },
    };
  }
}
