/**
 * Key statements and the addresses that follow from them. Pure: whoever has the committee file and the statements can
 * recompute any address of a wallet without trusting a database or the process that shows it (BIP32 public derivation).
 */
import { ed25519 } from '@noble/curves/ed25519.js';
import { HDKey } from '@scure/bip32';
import { errorsOf } from '#core/errors';
import {
  type CommitteeFile,
  custodyErrors,
  keyStatementSchema,
  pathPattern,
  protocolDomains,
  signedBytes,
} from '#custody/protocol';
import type { WalletRoot } from './contract.ts';

const fail = errorsOf(custodyErrors);

function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'hex'));
}

/**
 * The wallet's root, if every member of the committee states the same one.
 * @param options.dev whether development shares are accepted
 * @throws CUSTODY_STATEMENT_INVALID
 */
export function verifyStatements(
  wallet: string,
  statements: readonly unknown[],
  options: { readonly committee: CommitteeFile; readonly dev: boolean },
): WalletRoot {
  const { committee, dev } = options;
  const refuse = (reason: string, party = 0): Error =>
    fail('CUSTODY_STATEMENT_INVALID', `key statements of ${wallet}: ${reason}`, { wallet, reason, party });
  const parsed = statements.map((statement) => {
    const result = keyStatementSchema.safeParse(statement);
    if (!result.success) throw refuse('one is malformed');
    return result.data;
  });
  const [first] = parsed;
  if (first === undefined || parsed.length !== committee.members.length)
    throw refuse('one of every co-signer is needed');
  for (const member of committee.members) {
    const statement = parsed.find((candidate) => candidate.party === member.party);
    if (statement === undefined) throw refuse('one is missing', member.party);
    const { signature, ...fields } = statement;
    const bytes = signedBytes(protocolDomains.keyStatement, fields);
    if (!verifies(signature, bytes, member.signingKey))
      throw refuse('a signature does not verify', member.party);
    if (statement.wallet !== wallet) throw refuse('one is about another wallet', member.party);
    if (statement.threshold !== committee.threshold || statement.parties !== committee.members.length)
      throw refuse('one names another committee', member.party);
    if (statement.dev && !dev) throw refuse('one is about a development share', member.party);
    const same =
      statement.publicKey === first.publicKey &&
      statement.chainCode === first.chainCode &&
      statement.transcriptHash === first.transcriptHash &&
      statement.epoch === first.epoch;
    if (!same) throw refuse('they name different keys', member.party);
  }
  return {
    wallet,
    epoch: first.epoch,
    publicKey: hex(first.publicKey),
    chainCode: hex(first.chainCode),
    transcriptHash: first.transcriptHash,
    dev: parsed.some((statement) => statement.dev),
    statements: parsed,
  };
}

/** @param signature base64; @param publicKey Ed25519, hex */
export function verifies(signature: string, message: Uint8Array, publicKey: string): boolean {
  try {
    // Strict RFC 8032 verification, not ZIP 215.
    return ed25519.verify(Uint8Array.from(Buffer.from(signature, 'base64')), message, hex(publicKey), {
      zip215: false,
    });
  } catch {
    return false;
  }
}

/**
 * The compressed child key at a non-hardened path, 33 bytes.
 * @throws CUSTODY_ADDRESS_UNKNOWN for a path that is not canonical
 */
export function childPublicKey(root: Pick<WalletRoot, 'publicKey' | 'chainCode'>, path: string): Uint8Array {
  if (!pathPattern.test(path))
    throw fail('CUSTODY_ADDRESS_UNKNOWN', `${path.slice(0, 60)} is not a path`, { path });
  const child = new HDKey({ publicKey: root.publicKey, chainCode: root.chainCode }).derive(path);
  if (child.publicKey === null) throw fail('CUSTODY_ADDRESS_UNKNOWN', `${path} has no key`, { path });
  return child.publicKey;
}

/** From a compressed public key to the chain's canonical address. */
export type AddressOfPublicKey = (publicKey: Uint8Array) => string;

export interface VerifiedAddress {
  readonly address: string;
  readonly publicKey: string;
  readonly path: string;
  readonly epoch: number;
  /** True for a development wallet. */
  readonly dev: boolean;
}
/**
 * Recomputes the address at `path` from the co-signers' statements (`strongroom address verify`).
 * @throws CUSTODY_STATEMENT_INVALID, also when `expected` is another address
 */
export function verifyAddress(options: {
  readonly wallet: string;
  readonly path: string;
  readonly expected?: string;
  readonly statements: readonly unknown[];
  readonly committee: CommitteeFile;
  readonly dev: boolean;
  readonly addressOfPublicKey: AddressOfPublicKey;
}): VerifiedAddress {
  const { wallet, path, expected, statements, addressOfPublicKey } = options;
  const root = verifyStatements(wallet, statements, options);
  const publicKey = childPublicKey(root, path);
  const address = addressOfPublicKey(publicKey);
  if (expected !== undefined && expected !== address)
    throw fail('CUSTODY_STATEMENT_INVALID', `${path} of ${wallet} is ${address}, not ${expected}`, {
      wallet,
      path,
      address,
      expected,
    });
  return {
    address,
    publicKey: Buffer.from(publicKey).toString('hex'),
    path,
    epoch: root.epoch,
    dev: root.dev,
  };
}
