-- The double-entry ledger: accounts, the append-only journal, its idempotency index, holds and the hash chain of batches.
-- ledger.apply_batch (0011) is the only writer; what is refused here is refused for every client.
CREATE SCHEMA ledger;

-- The same words as #ledger/contract; a test compares the two.
CREATE TYPE ledger.transfer_kind AS ENUM (
  'post', 'pending', 'post-pending', 'void-pending', 'expire-pending', 'close-account', 'reopen-account');
CREATE TYPE ledger.transfer_code AS ENUM (
  'deposit-seen', 'deposit-final', 'deposit-reversed', 'deposit-orphaned',
  'withdrawal-hold', 'withdrawal-paid', 'withdrawal-released', 'hold-expired',
  'network-fee', 'sweep', 'rebalance', 'inflow', 'float', 'fee',
  'spot-in', 'spot-out', 'trade', 'trade-fee',
  'adjustment', 'opening', 'account-status');
-- Of a balancing transfer: the account whose room caps the amount.
CREATE TYPE ledger.side AS ENUM ('debit', 'credit');

CREATE FUNCTION ledger.kind_of(path text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN CASE
  WHEN path ~ '^customer:acc_[0-9a-f-]+:main$' THEN 'customer-main'
  WHEN path ~ '^customer:acc_[0-9a-f-]+:spot$' THEN 'customer-spot'
  WHEN path ~ '^customer:acc_[0-9a-f-]+:provisional$' THEN 'customer-provisional'
  WHEN path ~ '^chain:pending:wal_[0-9a-f-]+$' THEN 'chain-pending'
  WHEN path ~ '^chain:deposit:wal_[0-9a-f-]+$' THEN 'chain-deposit'
  WHEN path ~ '^chain:hot:wal_[0-9a-f-]+$' THEN 'chain-hot'
  WHEN path ~ '^chain:warm:wal_[0-9a-f-]+$' THEN 'chain-warm'
  WHEN path ~ '^chain:cold:wal_[0-9a-f-]+$' THEN 'chain-cold'
  WHEN path = 'house:suspense' THEN 'suspense'
  WHEN path ~ '^suspense:wal_[0-9a-f-]+$' THEN 'suspense'
  WHEN path = 'house:equity' THEN 'house-equity'
  WHEN path = 'house:income' THEN 'house-income'
  WHEN path = 'house:network-fee' THEN 'house-network-fee'
  WHEN path = 'house:clearing' THEN 'house-clearing'
END;

CREATE TABLE ledger.asset (
  no integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id text NOT NULL UNIQUE CHECK (id <> '')
);

-- The register of accounts: rows are only ever added, by ledger.open_accounts, and each binds the one before. Every batch
-- binds the register as it was, so that journal lines need only carry the ids of accounts.
CREATE TABLE ledger.account (
  id    bigint PRIMARY KEY, -- 1, 2, 3 ... without gaps
  path  text NOT NULL,
  asset text NOT NULL,
  kind  text NOT NULL,
  side  text NOT NULL,      -- side and floor follow from kind, and kind from path
  floor text NOT NULL,
  hash  bytea NOT NULL CHECK (length(hash) = 32),
  UNIQUE (path, asset)
);

-- What changes of an account, on rows as narrow as can be: every transfer writes two of them.
CREATE TABLE ledger.balance (
  account         bigint PRIMARY KEY,
  asset_no        integer NOT NULL,
  floor           "char" NOT NULL CHECK (floor IN ('h', 'p', 'n')), -- held, posted, none
  closed          boolean NOT NULL DEFAULT false,
  last_seq        bigint NOT NULL DEFAULT 0, -- the newest transfer of the account
  debits_pending  numeric(78, 0) NOT NULL DEFAULT 0,
  debits_posted   numeric(78, 0) NOT NULL DEFAULT 0,
  credits_pending numeric(78, 0) NOT NULL DEFAULT 0,
  credits_posted  numeric(78, 0) NOT NULL DEFAULT 0,
  CONSTRAINT balance_not_negative CHECK (least(debits_pending, debits_posted, credits_pending, credits_posted) >= 0),
  -- Debits, held ones included, must not exceed credits; or credits must not exceed debits; or neither.
  CONSTRAINT balance_floor CHECK (CASE floor WHEN 'h' THEN debits_posted + debits_pending <= credits_posted
                                             WHEN 'p' THEN credits_posted <= debits_posted ELSE true END),
  CONSTRAINT balance_closed_empty CHECK (
    NOT closed OR (debits_posted = credits_posted AND debits_pending = 0 AND credits_pending = 0))
) WITH (fillfactor = 50); -- room for the next version of a row on its own page (HOT), balances change all the time

CREATE VIEW ledger.account_balance AS
  SELECT a.id, a.path, a.asset, a.kind, a.side, a.floor, b.closed, b.last_seq,
         b.debits_pending, b.debits_posted, b.credits_pending, b.credits_posted
    FROM ledger.account AS a JOIN ledger.balance AS b ON b.account = a.id;

-- No foreign keys to account: apply_batch takes the ids from rows it has locked, and two key checks per row would cost
-- more than the rest of the insert. ledger.verify finds a row whose account does not exist.
CREATE TABLE ledger.transfer (
  seq            bigint NOT NULL,
  id             uuid NOT NULL,
  kind           ledger.transfer_kind NOT NULL,
  debit_account  bigint NOT NULL,
  credit_account bigint NOT NULL,
  amount         numeric(78, 0) NOT NULL,
  pending_id     uuid,
  code           ledger.transfer_code NOT NULL,
  reference      text NOT NULL,
  at_ms          bigint,
  timeout_ms     bigint CHECK (timeout_ms IS NULL OR (timeout_ms > 0 AND kind = 'pending')),
  -- A balancing transfer: which account capped it, and at most how much was asked for.
  balancing      ledger.side,
  amount_max     numeric(78, 0) CHECK ((amount_max IS NULL) = (balancing IS NULL) AND amount <= amount_max),
  -- The transfers before this one of the two accounts, 0 for none. A statement follows them backwards from balance.last_seq:
  -- as fast as an index on the accounts, without its two random writes per transfer (they cost a sixth of the throughput).
  debit_before   bigint NOT NULL CHECK (debit_before < seq),
  credit_before  bigint NOT NULL CHECK (credit_before < seq),
  PRIMARY KEY (seq),
  CHECK (CASE WHEN kind IN ('close-account', 'reopen-account')
              THEN debit_account = credit_account AND amount = 0 AND pending_id IS NULL
              ELSE debit_account <> credit_account AND amount > 0 AND (pending_id IS NULL) = (kind IN ('post', 'pending')) END)
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
  state          text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'posted', 'voided', 'expired')),
  resolved_by    uuid,
  -- recorded_ms of the batch that made it, and its timeout
  expires_ms     bigint,
  CHECK ((state = 'pending') = (resolved_by IS NULL))
) WITH (fillfactor = 80);
CREATE INDEX pending_due ON ledger.pending (expires_ms) WHERE state = 'pending' AND expires_ms IS NOT NULL;

CREATE TABLE ledger.batch (
  no          bigint PRIMARY KEY,
  first_seq   bigint NOT NULL,
  last_seq    bigint NOT NULL CHECK (last_seq >= first_seq),
  recorded_ms bigint NOT NULL,
  accounts    bigint NOT NULL, -- how many the register had; the hash binds the register's too
  rows_hash   bytea NOT NULL CHECK (length(rows_hash) = 32),
  prev_hash   bytea NOT NULL CHECK (length(prev_hash) = 32),
  hash        bytea NOT NULL CHECK (length(hash) = 32)
);
CREATE INDEX batch_last_seq ON ledger.batch (last_seq);
CREATE INDEX batch_recorded ON ledger.batch (recorded_ms);

-- The newest batch and the newest account. Locking its one row is how every writer starts: one lock, so no deadlock, and
-- whoever holds it sees all that was committed before.
CREATE TABLE ledger.head (
  single        boolean PRIMARY KEY DEFAULT true CHECK (single),
  batch_no      bigint NOT NULL,
  last_seq      bigint NOT NULL,
  recorded_ms   bigint NOT NULL,
  hash          bytea NOT NULL CHECK (length(hash) = 32),
  accounts      bigint NOT NULL,
  accounts_hash bytea NOT NULL CHECK (length(accounts_hash) = 32)
) WITH (fillfactor = 10);
INSERT INTO ledger.head VALUES
  (true, 0, 0, 0, sha256('strongroom/ledger/v1'::bytea), 0, sha256('strongroom/ledger/accounts/v1'::bytea));

-- ---------------------------------------------------------------- what the hash chain covers

-- One line per transfer. Only `reference` is free text; it has no line breaks and stands last.
CREATE FUNCTION ledger.transfer_line(
  seq bigint, id uuid, kind ledger.transfer_kind, debit bigint, credit bigint, debit_before bigint, credit_before bigint,
  amount numeric, pending_id uuid, code ledger.transfer_code, at_ms bigint, timeout_ms bigint, balancing ledger.side,
  amount_max numeric, reference text
) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE RETURN
  seq::text || '|' || id::text || '|' || kind::text || '|' || debit::text || '|' || credit::text || '|' ||
  debit_before::text || '|' || credit_before::text || '|' || amount::text || '|' || coalesce(pending_id::text, '') || '|' ||
  code::text || '|' || coalesce(at_ms::text, '') || '|' || coalesce(timeout_ms::text, '') || '|' ||
  coalesce(balancing::text, '') || coalesce(amount_max::text, '') || '|' || reference;

CREATE FUNCTION ledger.batch_hash(
  prev_hash bytea, no bigint, first_seq bigint, last_seq bigint, recorded_ms bigint, accounts bigint, accounts_hash bytea,
  rows_hash bytea
) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
  sha256(prev_hash || convert_to(no || '|' || first_seq || '|' || last_seq || '|' || recorded_ms || '|' || accounts || '|',
                                 'UTF8') || accounts_hash || rows_hash);

CREATE FUNCTION ledger.account_hash(prev_hash bytea, id bigint, path text, asset text)
RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
  sha256(prev_hash || convert_to(id || '|' || path || '|' || asset, 'UTF8'));

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
CREATE TRIGGER account_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.account
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER asset_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.asset
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER balance_kept BEFORE DELETE OR TRUNCATE ON ledger.balance
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER balance_keeps_account BEFORE UPDATE OF account, asset_no, floor ON ledger.balance
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

-- Every statement that changes balances must leave each asset's debits equal to its credits, whoever runs it.
CREATE FUNCTION ledger.assert_zero_sum() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  broken integer;
BEGIN
  SELECT asset_no INTO broken FROM (
    SELECT asset_no, debits_posted - credits_posted AS posted, debits_pending - credits_pending AS pending FROM after_rows
    UNION ALL
    SELECT asset_no, credits_posted - debits_posted, credits_pending - debits_pending FROM before_rows
  ) AS change
  GROUP BY asset_no HAVING sum(posted) <> 0 OR sum(pending) <> 0 LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'ledger.balance: debits and credits of asset % differ after this statement', broken USING ERRCODE = 'LG002';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER balance_zero_sum AFTER UPDATE ON ledger.balance
  REFERENCING OLD TABLE AS before_rows NEW TABLE AS after_rows
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.assert_zero_sum();

CREATE FUNCTION ledger.assert_opened_empty() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM opened WHERE debits_pending + debits_posted + credits_pending + credits_posted <> 0 OR closed) THEN
    RAISE EXCEPTION 'ledger.balance: an account is opened with zero balances' USING ERRCODE = 'LG002';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER balance_opened_empty AFTER INSERT ON ledger.balance
  REFERENCING NEW TABLE AS opened
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.assert_opened_empty();

-- ---------------------------------------------------------------- partitions

-- Rows of one partition. See docs/decisions/0019-ledger-operations.md for the figures.
CREATE FUNCTION ledger.partition_rows() RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN 10000000;

CREATE VIEW ledger.transfer_partition AS
  SELECT c.oid::regclass AS partition, c.relname::text AS name, (bound[1])::bigint AS first_seq, (bound[2])::bigint - 1 AS last_seq
    FROM pg_catalog.pg_inherits AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
   CROSS JOIN LATERAL regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''(\d+)''\) TO \(''(\d+)''\)') AS bound
   WHERE i.inhparent = 'ledger.transfer'::regclass AND bound IS NOT NULL;

-- A table like the journal that is no part of it yet. Attaching one later lets readers and writers go on; CREATE TABLE ...
-- PARTITION OF would lock them all out. A row never changes, so its page is frozen when it is first vacuumed, and never again
-- written; a tenth of a partition at a time.
CREATE FUNCTION ledger.make_partition_table(p_name text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  EXECUTE format('CREATE TABLE ledger.%I (LIKE ledger.transfer INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)
    WITH (autovacuum_freeze_min_age = 0, autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = %s)',
    p_name, ledger.partition_rows() / 10);
  EXECUTE format('CREATE TRIGGER transfer_no_truncate BEFORE TRUNCATE ON ledger.%I
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()', p_name);
  EXECUTE format('REVOKE ALL ON ledger.%I FROM PUBLIC', p_name);
  EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON ledger.%I FROM CURRENT_USER', p_name);
END $$;

-- Takes what no partition was made for yet, so that a forgotten partition never stops money.
SELECT ledger.make_partition_table('transfer_rest');
ALTER TABLE ledger.transfer ATTACH PARTITION ledger.transfer_rest DEFAULT;

-- Also past those that were detached and kept.
CREATE FUNCTION ledger.next_partition_name() RETURNS text LANGUAGE sql SET search_path = pg_catalog, pg_temp RETURN
  'transfer_p' || (SELECT coalesce(max(substring(relname FROM '^transfer_p([0-9]+)$')::bigint), -1) + 1
                     FROM pg_class WHERE relnamespace = 'ledger'::regnamespace AND relkind = 'r');

-- After the last one there is.
CREATE FUNCTION ledger.add_partition() RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_first bigint := (SELECT coalesce(max(last_seq), 0) + 1 FROM ledger.transfer_partition);
  v_name text := ledger.next_partition_name();
BEGIN
  PERFORM ledger.make_partition_table(v_name);
  EXECUTE format('ALTER TABLE ledger.transfer ATTACH PARTITION ledger.%I FOR VALUES FROM (%s) TO (%s)',
    v_name, v_first, v_first + ledger.partition_rows());
  RETURN v_name;
END $$;
SELECT ledger.add_partition() FROM generate_series(1, 2);

REVOKE ALL ON SCHEMA ledger FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA ledger FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ledger FROM PUBLIC;
-- Also from the owner, as whom apply_batch runs: journal, ids, batches and accounts are only ever added to.
REVOKE UPDATE, DELETE, TRUNCATE ON ledger.transfer, ledger.transfer_id, ledger.batch, ledger.account,
  ledger.asset FROM CURRENT_USER;
REVOKE DELETE, TRUNCATE ON ledger.balance, ledger.pending, ledger.head FROM CURRENT_USER;
