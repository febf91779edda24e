/** `ledger liabilities publish`, `prove`, `verify` and `audit`; the last two work offline, on files. */
import { createReadStream } from 'node:fs';
import { z } from 'zod';
import { errorsOf, messageOf } from '#core/errors';
import type { Queryable } from '#infra/db';
import {
  bundleLines,
  inclusionProof,
  type SnapshotPorts,
  statementHash,
  takeLiabilitiesSnapshot,
  verifyBundle,
  verifyInclusion,
} from '#ledger/liabilities';
import { readJsonFile } from '../certificate/document.ts';
import { cliErrors } from '../contract.ts';
import { formatTable, formatTime } from '../format.ts';
import { assertNewFile, fileModes, writeNewFile } from '../new-file.ts';
import type { Output } from '../output.ts';

const fail = errorsOf(cliErrors);
const documentOf = (value: unknown): string[] => [`${JSON.stringify(value, null, 2)}\n`];

/**
 * Takes a snapshot; prints what is to be published.
 * @param options.out for the signed statement; `options.bundle` for the auditor's file, readable by its owner only
 * @throws CLI_FILE_INVALID when a file exists, and as takeLiabilitiesSnapshot
 */
export async function publishLiabilities(
  ports: SnapshotPorts,
  options: { readonly out?: string; readonly bundle?: string },
  output: Output,
): Promise<void> {
  const { out, bundle } = options;
  // Before: a snapshot is published once, also when there is no place for its files.
  for (const file of [out, bundle]) if (file !== undefined) assertNewFile(file);
  const signed = await takeLiabilitiesSnapshot(ports);
  const { statement } = signed;
  if (out !== undefined) await writeNewFile(out, fileModes.public, documentOf(signed));
  if (bundle !== undefined)
    await writeNewFile(bundle, fileModes.ownerOnly, bundleLines(ports.pool, statement.snapshotId));
  const hash = statementHash(statement);
  const rows = [
    ['asset', 'customers', 'owed, base units', 'root'],
    ...statement.trees.map((tree) => [tree.asset, tree.leafCount.toString(), tree.total, tree.root]),
  ];
  output.show(
    { ...signed, statementHash: hash },
    [
      `statement ${statement.number}, snapshot ${statement.snapshotId}, ${formatTime(statement.takenAtMs)}`,
      `at batch ${statement.head.batch} of the ledger, ${statement.head.hash}`,
      formatTable(rows),
      `publish ${hash}`,
    ].join('\n'),
  );
}

/** The proof for one customer, for that customer only. @throws CLI_FILE_INVALID when the file exists, and as inclusionProof */
export async function proveLiability(
  queryable: Queryable,
  options: {
    readonly account: string;
    readonly asset: string;
    readonly snapshotId?: string;
    readonly out?: string;
  },
  output: Output,
): Promise<void> {
  const proof = await inclusionProof(queryable, options);
  if (options.out === undefined) {
    output.show(proof, JSON.stringify(proof, null, 2));
    return;
  }
  await writeNewFile(options.out, fileModes.ownerOnly, documentOf(proof));
  output.show({ file: options.out, snapshotId: proof.signed.statement.snapshotId }, `wrote ${options.out}`);
}

/** Exit code 0 when the proof holds. @throws CLI_FILE_INVALID */
export function showLiabilityVerification(
  file: string,
  expected: Parameters<typeof verifyInclusion>[1],
  output: Output,
): number {
  const verdict = verifyInclusion(readJsonFile(file, z.unknown()), expected);
  output.show(
    verdict,
    verdict.ok
      ? `${verdict.balance} units of ${expected.asset} of ${expected.account} are part of the ${verdict.total} that were owed at ${formatTime(verdict.takenAtMs)}\nstatement ${verdict.statementHash}: compare it with the published one`
      : `${verdict.reason}: ${verdict.message}`,
  );
  return verdict.ok ? 0 : 1;
}

/** Exit code 0 when the leaves of the bundle give every root and total of its statement. @throws CLI_FILE_INVALID */
export async function showBundleAudit(
  file: string,
  options: { readonly publicKey: string },
  output: Output,
): Promise<number> {
  const verdict = await verifyBundle(createReadStream(file), options.publicKey).catch((error: unknown) => {
    throw fail('CLI_FILE_INVALID', `${file} cannot be read: ${messageOf(error)}`, { file }, error);
  });
  if (!verdict.ok) {
    output.show(verdict, `line ${verdict.line}: ${verdict.reason}: ${verdict.message}`);
    return 1;
  }
  const { number, trees } = verdict.signed.statement;
  const leaves = trees.map((tree) => `${tree.leafCount} leaves of ${tree.asset}, ${tree.total} units`);
  output.show(
    { ok: true, statementHash: verdict.statementHash, statement: verdict.signed.statement },
    [`statement ${number} holds: ${verdict.statementHash}`, ...leaves].join('\n'),
  );
  return 0;
}
