/** `certificate get`, `certificate verify` and `address verify`. */
import { writeFileSync } from 'node:fs';
import { z } from 'zod';
import { addressOfCompressedKey, parseEthereumAddress } from '#chains';
import { isStrongroomError } from '#core/errors';
import { verifyAddress } from '#custody';
import { keyStatementSchema } from '#custody/protocol';
import type { Certificate } from '#workflows/contract';
import { certificateSchema, readCommittee, readJsonFile } from '../certificate/document.ts';
import { verifyCertificate, verifyInclusion } from '../certificate/verify.ts';
import { type Connection, call } from '../client.ts';
import { formatTable } from '../format.ts';
import type { Output } from '../output.ts';

export async function saveCertificate(
  connection: Connection,
  id: string,
  file: string | undefined,
  output: Output,
): Promise<void> {
  const certificate = await call<Certificate>(
    connection,
    'GET',
    `/v1/withdrawals/${encodeURIComponent(id)}/certificate`,
  );
  const text = JSON.stringify(certificate, null, 2);
  if (file === undefined) {
    output.show(certificate, text);
    return;
  }
  writeFileSync(file, `${text}\n`);
  output.show({ file, withdrawalId: id }, `wrote ${file}`);
}

/** Exit code 0 when nothing is false; a claim that was not asked to be checked is no failure. @throws CLI_FILE_INVALID */
export async function showVerification(
  file: string,
  options: { committee?: string; node?: string },
  output: Output,
): Promise<number> {
  const certificate = readJsonFile(file, certificateSchema);
  const checks = [
    ...verifyCertificate(certificate, {
      addressOfPublicKey: addressOfCompressedKey,
      ...(options.committee === undefined ? {} : { committee: readCommittee(options.committee) }),
    }),
    await verifyInclusion(certificate, options.node),
  ];
  const holds = checks.every((entry) => entry.verdict !== 'false');
  const rows = [['check', 'verdict', 'detail'], ...checks.map((c) => [c.name, c.verdict, c.detail])];
  const closing = holds
    ? `the certificate of ${certificate.withdrawalId} holds`
    : `CLI_CERTIFICATE_FALSE: the certificate of ${certificate.withdrawalId} does not hold`;
  output.show({ withdrawalId: certificate.withdrawalId, holds, checks }, `${formatTable(rows)}\n${closing}`);
  return holds ? 0 : 1;
}

const statementList = z.array(keyStatementSchema).min(1);
/** A list of statements, as each co-signer gives its own, or a certificate, which carries them all. */
const statementsFileSchema = z.unknown().transform((content, context) => {
  const isDocument = typeof content === 'object' && content !== null && 'keyStatements' in content;
  const parsed = statementList.safeParse(isDocument ? content.keyStatements : content);
  if (parsed.success) return parsed.data;
  for (const { path, message } of parsed.error.issues) context.addIssue({ code: 'custom', path, message });
  return z.NEVER;
});

/** @throws CLI_FILE_INVALID, CHAINS_ADDRESS_INVALID */
export function showAddressVerification(
  address: string,
  options: { path: string; statements: string; committee: string },
  output: Output,
): number {
  const expected = parseEthereumAddress(address);
  const statements = readJsonFile(options.statements, statementsFileSchema);
  const wallet = statements[0]?.wallet ?? '';
  try {
    const verified = verifyAddress({
      wallet,
      path: options.path,
      expected,
      statements,
      committee: readCommittee(options.committee),
      dev: statements.some((statement) => statement.dev),
      addressOfPublicKey: addressOfCompressedKey,
    });
    output.show({ holds: true, ...verified }, `${expected} is ${options.path} of ${wallet}`);
    return 0;
  } catch (error) {
    if (!isStrongroomError(error)) throw error;
    output.show(
      { holds: false, code: error.code, message: error.message },
      `${error.code}: ${error.message}`,
    );
    return 1;
  }
}
