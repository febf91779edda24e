/**
 * The committee file of the development suite: who the co-signers are, by the keys each of them made for itself at its
 * first start. Keys never change here; addresses may.
 */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { z } from 'zod';
import { errorsOf, messageOf } from '#core/errors';
import { infraErrors } from '../contract.ts';
import { nodeArguments, nodeEnvironment } from './node-process.ts';
import { checkoutRoot } from './state.ts';

const fail = errorsOf(infraErrors);
const run = promisify(execFile);
/** Opens a store and makes two keys; most of it is starting node on a busy machine. */
const identityTimeoutMs = 60_000;

const identity = z.object({
  party: z.int().min(1),
  signingKey: z.string(),
  encryptionKey: z.string(),
});
const committee = z.object({
  threshold: z.int().min(2),
  members: z.array(identity.extend({ url: z.string() })),
});

export interface CommitteeMember {
  readonly party: number;
  readonly url: string;
  readonly entry: string;
  readonly configFile: string;
}

/** Asks a co-signer that is not running for its public keys; it makes them if there are none. */
async function identityOf(member: CommitteeMember): Promise<z.infer<typeof identity>> {
  const args = nodeArguments(member.entry, ['--config', member.configFile, '--dev', '--print-identity']);
  try {
    const { stdout } = await run(process.execPath, args, {
      cwd: checkoutRoot,
      env: nodeEnvironment(),
      timeout: identityTimeoutMs,
    });
    return identity.parse(JSON.parse(stdout));
  } catch (error) {
    throw fail(
      'INFRA_PROCESS_NOT_READY',
      `signer-${member.party} did not say who it is: ${messageOf(error)}`,
      { process: `signer-${member.party}` },
      error,
    );
  }
}

/**
 * Writes the file, or brings the addresses in it up to date.
 * @param threshold signers a signature takes; n = 2t - 1
 * @throws INFRA_PROCESS_NOT_READY
 */
export async function ensureCommittee(
  file: string,
  threshold: number,
  members: readonly CommitteeMember[],
): Promise<void> {
  const known = existsSync(file) ? committee.parse(JSON.parse(readFileSync(file, 'utf8'))).members : [];
  const listed = await Promise.all(
    members.map(async (member) => {
      const { signingKey, encryptionKey } =
        known.find((candidate) => candidate.party === member.party) ?? (await identityOf(member));
      return { party: member.party, url: member.url, signingKey, encryptionKey };
    }),
  );
  writeFileSync(file, `${JSON.stringify({ threshold, members: listed }, null, 2)}\n`);
}
