/** YAML is what people write; what is hashed, signed and pinned is the canonical JSON behind it. Not for co-signers. */
import { parseDocument } from 'yaml';
import { errorsOf, messageOf } from '#core/errors';
import { policyErrors, type Roster } from './contract.ts';
import { type LoadedPolicy, type LoadedRoster, loadPolicy, loadRoster } from './load.ts';

const fail = errorsOf(policyErrors);

/** 500 people with 16 passkeys each are about 2 MB of text; nobody reviews more. */
const documentLengthMax = 4 * 1024 * 1024;

/** YAML 1.2 core schema: no aliases, no merge keys, no repeated keys, one document. JSON is a subset. */
function readYaml(text: string, what: string): unknown {
  if (text.length > documentLengthMax)
    throw fail('POLICY_DOCUMENT_INVALID', `${what}: is longer than ${documentLengthMax} characters`);
  try {
    const document = parseDocument(text, { version: '1.2', schema: 'core', merge: false, uniqueKeys: true });
    const problem = document.errors[0] ?? document.warnings[0];
    if (problem !== undefined) throw problem;
    return document.toJS({ maxAliasCount: 0 }) as unknown;
  } catch (error) {
    throw fail('POLICY_DOCUMENT_INVALID', `${what}: ${messageOf(error)}`, {}, error);
  }
}

/** @throws POLICY_DOCUMENT_INVALID, POLICY_CONTRADICTION */
export function parsePolicy(text: string, options: { readonly roster?: Roster } = {}): LoadedPolicy {
  return loadPolicy(readYaml(text, 'policy'), options);
}

/** @throws POLICY_DOCUMENT_INVALID, POLICY_CONTRADICTION */
export function parseRoster(text: string): LoadedRoster {
  return loadRoster(readYaml(text, 'roster'));
}
