/** Proof of liabilities: publish what is owed to customers, prove each one's part in it, check both offline. */
export { type BundleVerdict, bundleFormat, bundleLines, verifyBundle } from './bundle.ts';
export {
  type LiabilitiesSigner,
  liabilityKinds,
  type SnapshotPorts,
  takeLiabilitiesSnapshot,
} from './snapshot.ts';
export {
  type LiabilitiesStatement,
  readSignedStatement,
  type SignedStatement,
  statementHash,
  type TreeStatement,
  verifyStatements,
} from './statement.ts';
export { inclusionProof, type ProofRequest, publishedStatement } from './store.ts';
export {
  type ExpectedLiability,
  type InclusionProof,
  type InclusionRefusal,
  type InclusionVerdict,
  proofFormat,
  verifyInclusion,
} from './verify.ts';
