/** Assertions signed by a real passkey key over content of one's choice: what a hostile or broken client can make. */
import { createHash, createSign } from 'node:crypto';
import type { Assertion } from '#policies/contract';
import type { SoftwarePasskey } from '../support/software-passkey.ts';

const sha256 = (data: Uint8Array | string) => createHash('sha256').update(data).digest();

export interface Forgery {
  readonly challenge: Uint8Array;
  readonly type?: string;
  readonly origin?: string;
  readonly rpId?: string;
  /** UP 1, UV 4, BE 8, BS 16, AT 64, ED 128. */
  readonly flags?: number;
  /** Bytes after the 37 of plain authenticator data. */
  readonly extra?: Uint8Array;
  /** More or other fields of the client data; undefined takes one out. */
  readonly clientData?: Readonly<Record<string, unknown>>;
  /** Client data as it is, JSON or not. */
  readonly clientDataText?: string;
}

export function forgeAssertion(passkey: SoftwarePasskey, forgery: Forgery): Assertion {
  const authenticatorData = Buffer.concat([
    sha256(forgery.rpId ?? passkey.rpId),
    Buffer.from([forgery.flags ?? 0x05]),
    Buffer.alloc(4),
    forgery.extra ?? Buffer.alloc(0),
  ]);
  const clientData = {
    type: forgery.type ?? 'webauthn.get',
    challenge: Buffer.from(forgery.challenge).toString('base64url'),
    origin: forgery.origin ?? passkey.origin,
    crossOrigin: false,
    ...forgery.clientData,
  };
  const clientDataBytes = Buffer.from(forgery.clientDataText ?? JSON.stringify(clientData));
  const signature = createSign('sha256')
    .update(authenticatorData)
    .update(sha256(clientDataBytes))
    .sign(passkey.toFile('forger').privateKey);
  return {
    credentialId: passkey.credentialId.toString('base64url'),
    authenticatorData: authenticatorData.toString('base64url'),
    clientDataJSON: clientDataBytes.toString('base64url'),
    signature: signature.toString('base64url'),
  };
}
