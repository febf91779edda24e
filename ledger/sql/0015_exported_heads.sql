-- Heads as they were signed with the ledger's own key, before any witness saw them: one row per exported batch. Whoever can
-- write here but has not the key cannot add one; that one is missing, the witnesses show.
CREATE TABLE ledger.exported_head (
  ledger      bytea NOT NULL CHECK (length(ledger) = 32),
  batch_no    bigint NOT NULL CHECK (batch_no > 0),
  last_seq    bigint NOT NULL CHECK (last_seq >= batch_no), -- a batch has a transfer or more
  hash        bytea NOT NULL CHECK (length(hash) = 32),
  recorded_ms bigint NOT NULL,
  signed_ms   bigint NOT NULL,
  signature   bytea NOT NULL CHECK (length(signature) = 64),
  PRIMARY KEY (ledger, batch_no)
);

CREATE TRIGGER exported_head_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.exported_head
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
REVOKE ALL ON ledger.exported_head FROM PUBLIC;
REVOKE UPDATE, DELETE, TRUNCATE ON ledger.exported_head FROM CURRENT_USER;
