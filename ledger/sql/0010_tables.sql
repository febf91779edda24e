-- The double-entry ledger: accounts, the append-only journal, its idempotency index, holds and the hash chain of batches.
-- ledger.apply_batch (0011) is the only writer; what is refused here is refused for every client.
CREATE SCHEMA ledger;

-- The same words as #ledger/contract; a test compares the two.
CREATE TYPE ledger.transfer_kind AS ENUM ('post', 'pending', 'post-pending', 'void-pending');
CREATE TYPE ledger.transfer_code AS ENUM (
  'deposit-seen', 'deposit-final', 'deposit-reversed', 'deposit-orphaned',
  'withdrawal-hold', 'withdrawal-paid', 'withdrawal-released',
  'network-fee', 'sweep', 'inflow', 'float');

CREATE FUNCTION ledger.kind_of(path text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN CASE
  WHEN path ~ '^customer:acc_[0-9a-f-]+:main$' THEN 'customer-main'
  WHEN path ~ '^customer:acc_[0-9a-f-]+:provisional$' THEN 'customer-provisional'
  WHEN path ~ '^chain:pending:wal_[0-9a-f-]+$' THEN 'chain-pending'
  WHEN path ~ '^chain:deposit:wal_[0-9a-f-]+$' THEN 'chain-deposit'
  WHEN path ~ '^chain:hot:wal_[0-9a-f-]+$' THEN 'chain-hot'
  WHEN path ~ '^suspense:wal_[0-9a-f-]+$' THEN 'suspense'
  WHEN path = 'house:equity' THEN 'house-equity'
  WHEN path = 'house:income' THEN 'house-income'
  WHEN path = 'house:network-fee' THEN 'house-network-fee'
END;

-- kind, side and floor follow from the path: a trigger sets them when an account is opened and nothing can change them
-- after. (As generated columns they would be computed again, regular expressions and all, at every change of a balance.)
CREATE TABLE ledger.account (
  id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  path            text NOT NULL,
  asset           text NOT NULL CHECK (asset <> ''),
  kind            text NOT NULL,
  side            text NOT NULL CHECK (side = CASE
                    WHEN kind IN ('chain-pending', 'chain-deposit', 'chain-hot', 'house-network-fee') THEN 'debit'
                    ELSE 'credit' END),
  floor           text NOT NULL CHECK (floor = CASE
                    WHEN side = 'debit' THEN 'posted' WHEN kind = 'suspense' THEN 'none' ELSE 'held' END),
  debits_pending  numeric(78, 0) NOT NULL DEFAULT 0 CHECK (debits_pending >= 0),
  debits_posted   numeric(78, 0) NOT NULL DEFAULT 0 CHECK (debits_posted >= 0),
  credits_pending numeric(78, 0) NOT NULL DEFAULT 0 CHECK (credits_pending >= 0),
  credits_posted  numeric(78, 0) NOT NULL DEFAULT 0 CHECK (credits_posted >= 0),
  UNIQUE (path, asset),
  CONSTRAINT account_held_floor CHECK (floor <> 'held' OR debits_posted + debits_pending <= credits_posted),
  CONSTRAINT account_posted_floor CHECK (floor <> 'posted' OR credits_posted <= debits_posted)
) WITH (fillfactor = 50); -- room for the next version of a row on its own page (HOT), balances change all the time

-- No foreign keys to account: apply_batch takes the ids from rows it has locked, and two key checks per row would cost
-- more than the rest of the insert. ledger.verify finds a row whose account does not exist.
CREATE TABLE ledger.transfer (
  seq            bigint NOT NULL,
  id             uuid NOT NULL,
  kind           ledger.transfer_kind NOT NULL,
  debit_account  bigint NOT NULL,
  credit_account bigint NOT NULL CHECK (credit_account <> debit_account),
  amount         numeric(78, 0) NOT NULL CHECK (amount > 0),
  pending_id     uuid CHECK ((pending_id IS NULL) = (kind IN ('post', 'pending'))),
  code           ledger.transfer_code NOT NULL,
  reference      text NOT NULL,
  at_ms          bigint,
  PRIMARY KEY (seq)
) PARTITION BY RANGE (seq);
CREATE INDEX transfer_reference ON ledger.transfer (reference);

-- A unique index cannot span partitions by seq, so the ids have a table of their own.
CREATE TABLE ledger.transfer_id (
  id  uuid PRIMARY KEY,
  seq bigint NOT NULL
);

CREATE TABLE ledger.pending (
  id             uuid PRIMARY KEY,
  debit_account  bigint NOT NULL,
  credit_account bigint NOT NULL,
  amount         numeric(78, 0) NOT NULL CHECK (amount > 0),
  state          text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'posted', 'voided')),
  resolved_by    uuid,
  CHECK ((state = 'pending') = (resolved_by IS NULL))
) WITH (fillfactor = 80);

CREATE TABLE ledger.batch (
  no          bigint PRIMARY KEY,
  first_seq   bigint NOT NULL,
  last_seq    bigint NOT NULL CHECK (last_seq >= first_seq),
  recorded_ms bigint NOT NULL,
  rows_hash   bytea NOT NULL CHECK (length(rows_hash) = 32),
  prev_hash   bytea NOT NULL CHECK (length(prev_hash) = 32),
  hash        bytea NOT NULL CHECK (length(hash) = 32)
);
CREATE INDEX batch_last_seq ON ledger.batch (last_seq);

-- The newest batch. Its one row is locked by apply_batch as its last lock, and so puts the batches in an order.
CREATE TABLE ledger.head (
  single   boolean PRIMARY KEY DEFAULT true CHECK (single),
  batch_no bigint NOT NULL,
  last_seq bigint NOT NULL,
  hash     bytea NOT NULL CHECK (length(hash) = 32)
) WITH (fillfactor = 10);
INSERT INTO ledger.head (batch_no, last_seq, hash) VALUES (0, 0, sha256('strongroom/ledger/v1'::bytea));

-- ---------------------------------------------------------------- what the hash chain covers

-- One line per transfer. It names accounts by path and asset, so that the chain also covers who an account belongs to.
-- Only `reference` is free text, and it has no line breaks (apply_batch sees to that) and stands last.
CREATE FUNCTION ledger.transfer_line(
  seq bigint, id uuid, kind ledger.transfer_kind, debit text, credit text, asset text, amount numeric,
  pending_id uuid, code ledger.transfer_code, at_ms bigint, reference text
) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE RETURN
  seq::text || '|' || id::text || '|' || kind::text || '|' || debit || '|' || credit || '|' || asset || '|' ||
  amount::text || '|' || coalesce(pending_id::text, '') || '|' || code::text || '|' ||
  coalesce(at_ms::text, '') || '|' || reference;

CREATE FUNCTION ledger.batch_hash(
  prev_hash bytea, no bigint, first_seq bigint, last_seq bigint, recorded_ms bigint, rows_hash bytea
) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
  sha256(prev_hash || convert_to(no || '|' || first_seq || '|' || last_seq || '|' || recorded_ms || '|', 'UTF8') || rows_hash);

-- ---------------------------------------------------------------- guards

CREATE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'ledger.% is append-only: % refused; correct with a new transfer', TG_TABLE_NAME, TG_OP
    USING ERRCODE = 'LG001';
END $$;

CREATE TRIGGER transfer_append_only BEFORE UPDATE OR DELETE ON ledger.transfer
  FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER transfer_no_truncate BEFORE TRUNCATE ON ledger.transfer
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER transfer_id_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.transfer_id
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER batch_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.batch
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER pending_kept BEFORE DELETE OR TRUNCATE ON ledger.pending
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER head_kept BEFORE DELETE OR TRUNCATE ON ledger.head
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER account_kept BEFORE DELETE OR TRUNCATE ON ledger.account
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER account_keeps_name BEFORE UPDATE OF id, path, asset, kind, side, floor ON ledger.account
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

CREATE FUNCTION ledger.set_account_rules() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.kind := ledger.kind_of(NEW.path);
  NEW.side := CASE WHEN NEW.kind LIKE 'chain-%' OR NEW.kind = 'house-network-fee' THEN 'debit' ELSE 'credit' END;
  NEW.floor := CASE WHEN NEW.side = 'debit' THEN 'posted' WHEN NEW.kind = 'suspense' THEN 'none' ELSE 'held' END;
  RETURN NEW;
END $$;
CREATE TRIGGER account_rules BEFORE INSERT ON ledger.account
  FOR EACH ROW EXECUTE FUNCTION ledger.set_account_rules();

-- Every statement that changes balances must leave each asset's debits equal to its credits, whoever runs it.
CREATE FUNCTION ledger.assert_zero_sum() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  broken text;
BEGIN
  SELECT asset INTO broken FROM (
    SELECT asset, debits_posted - credits_posted AS posted, debits_pending - credits_pending AS pending FROM after_rows
    UNION ALL
    SELECT asset, credits_posted - debits_posted, credits_pending - debits_pending FROM before_rows
  ) AS change
  GROUP BY asset HAVING sum(posted) <> 0 OR sum(pending) <> 0 LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'ledger.account: debits and credits of % differ after this statement', broken USING ERRCODE = 'LG002';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER account_zero_sum AFTER UPDATE ON ledger.account
  REFERENCING OLD TABLE AS before_rows NEW TABLE AS after_rows
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.assert_zero_sum();

CREATE FUNCTION ledger.assert_opened_empty() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM opened WHERE debits_pending + debits_posted + credits_pending + credits_posted <> 0) THEN
    RAISE EXCEPTION 'ledger.account: an account is opened with zero balances' USING ERRCODE = 'LG002';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER account_opened_empty AFTER INSERT ON ledger.account
  REFERENCING NEW TABLE AS opened
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.assert_opened_empty();

-- ---------------------------------------------------------------- partitions

-- Partition p holds seq p * 10,000,000 + 1 to (p + 1) * 10,000,000: about 2 GB with its indexes, small enough to vacuum,
-- back up or move alone.
CREATE FUNCTION ledger.add_partition(p bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE TABLE ledger.transfer_p%s PARTITION OF ledger.transfer FOR VALUES FROM (%s) TO (%s)',
    p, p * 10000000 + 1, (p + 1) * 10000000 + 1);
  EXECUTE format('CREATE TRIGGER transfer_no_truncate BEFORE TRUNCATE ON ledger.transfer_p%s
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()', p);
  EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON ledger.transfer_p%s FROM CURRENT_USER', p);
END $$;
SELECT ledger.add_partition(p) FROM generate_series(0, 3) AS p;
-- Takes what no partition was made for yet, so that a forgotten partition never stops money.
CREATE TABLE ledger.transfer_rest PARTITION OF ledger.transfer DEFAULT;
CREATE TRIGGER transfer_no_truncate BEFORE TRUNCATE ON ledger.transfer_rest
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

REVOKE ALL ON SCHEMA ledger FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA ledger FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ledger FROM PUBLIC;
-- Also from the owner, as whom apply_batch runs: journal, ids and batches are only ever added to.
REVOKE UPDATE, DELETE, TRUNCATE ON ledger.transfer, ledger.transfer_rest, ledger.transfer_id, ledger.batch FROM CURRENT_USER;
REVOKE DELETE, TRUNCATE ON ledger.account, ledger.pending, ledger.head FROM CURRENT_USER;
