-- Published snapshots of what is owed to customers, and what is needed to serve proofs of them later.
CREATE TABLE ledger.liabilities_snapshot (
  no        bigint PRIMARY KEY CHECK (no > 0),
  id        uuid NOT NULL UNIQUE,
  statement text NOT NULL, -- canonical JSON, the bytes that are signed
  signature bytea NOT NULL CHECK (length(signature) = 64)
);

-- Every salt of a snapshot follows from it, and so which leaf is whose. In a table of its own, so that a role that serves
-- auditors can be given everything else.
CREATE TABLE ledger.liabilities_secret (
  snapshot_no bigint PRIMARY KEY,
  secret      bytea NOT NULL CHECK (length(secret) = 32)
);

-- The leaves in order, 1,024 in a row: commitment and balance of each, 64 bytes, and no account. A million customers are
-- about 1,000 rows and 64 MB. No foreign key: it would lock a row of a table on which nobody has UPDATE, and a proof is
-- recomputed up to the signed root anyway.
CREATE TABLE ledger.liabilities_subtree (
  snapshot_no      bigint NOT NULL,
  asset            text NOT NULL,
  no               int NOT NULL CHECK (no >= 0),
  leaves           bytea NOT NULL CHECK (length(leaves) BETWEEN 64 AND 65536 AND length(leaves) % 64 = 0),
  first_commitment bytea NOT NULL CHECK (first_commitment = substring(leaves FOR 32)),
  root             bytea NOT NULL CHECK (length(root) = 64),
  PRIMARY KEY (snapshot_no, asset, no),
  UNIQUE (snapshot_no, asset, first_commitment)
);

CREATE TRIGGER liabilities_snapshot_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.liabilities_snapshot
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER liabilities_secret_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.liabilities_secret
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER liabilities_subtree_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.liabilities_subtree
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

REVOKE ALL ON ledger.liabilities_snapshot, ledger.liabilities_secret, ledger.liabilities_subtree FROM PUBLIC;
REVOKE UPDATE, DELETE, TRUNCATE ON ledger.liabilities_snapshot, ledger.liabilities_secret, ledger.liabilities_subtree
  FROM CURRENT_USER;
