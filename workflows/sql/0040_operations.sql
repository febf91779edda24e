-- Customers, deposits, withdrawals and sweeps: what the processes decide on. The ledger owns the money, this owns the state.
CREATE SCHEMA operations;

-- Refuses every change of a row that tells what happened.
CREATE FUNCTION operations.append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'rows of % are never changed', TG_TABLE_NAME;
END $$;

CREATE TABLE operations.customer_account (
  id         text PRIMARY KEY CHECK (id ~ '^acc_'),
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE operations.deposit (
  id           text PRIMARY KEY CHECK (id ~ '^dep_'),
  chain        text NOT NULL,
  txid         text NOT NULL,
  index        integer NOT NULL CHECK (index >= 0),
  wallet_id    text NOT NULL,
  account_id   text NOT NULL REFERENCES operations.customer_account,
  asset        text NOT NULL,
  address      text NOT NULL,
  path         text NOT NULL,
  units        numeric(78, 0) NOT NULL CHECK (units > 0),
  state        text NOT NULL CHECK (state IN ('SEEN', 'FINAL', 'ORPHANED', 'ORPHANED_AFTER_FINAL')),
  version      integer NOT NULL DEFAULT 1,
  sighting     integer NOT NULL DEFAULT 1 CHECK (sighting >= 1),
  block_height bigint NOT NULL,
  block_hash   text NOT NULL,
  block_at_ms  bigint NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT now(),
  UNIQUE (chain, txid, index)
);
CREATE INDEX deposit_seen ON operations.deposit (chain, block_height) WHERE state = 'SEEN';
CREATE INDEX deposit_block ON operations.deposit (chain, block_hash);
CREATE INDEX deposit_account ON operations.deposit (account_id, created_at);
CREATE INDEX deposit_address ON operations.deposit (wallet_id, path) WHERE state = 'FINAL';

-- Value from outside at a hot address.
CREATE TABLE operations.inflow (
  chain        text NOT NULL,
  txid         text NOT NULL,
  index        integer NOT NULL,
  wallet_id    text NOT NULL,
  asset        text NOT NULL,
  sender       text NOT NULL,
  units        numeric(78, 0) NOT NULL CHECK (units > 0),
  state        text NOT NULL CHECK (state IN ('SEEN', 'FINAL', 'ORPHANED', 'ORPHANED_AFTER_FINAL')),
  block_height bigint NOT NULL,
  block_hash   text NOT NULL,
  block_at_ms  bigint NOT NULL,
  declared_at  timestamptz,
  PRIMARY KEY (chain, txid, index)
);
CREATE INDEX inflow_seen ON operations.inflow (chain, block_height) WHERE state = 'SEEN';

-- Every mined transaction that one of our addresses sent. Without an intent it was signed by somebody else: a case.
CREATE TABLE operations.outflow (
  chain        text NOT NULL,
  txid         text NOT NULL,
  wallet_id    text NOT NULL,
  intent_id    text,
  sender       text NOT NULL,
  nonce        bigint NOT NULL,
  succeeded    boolean NOT NULL,
  fee_units    numeric(78, 0) NOT NULL CHECK (fee_units >= 0),
  state        text NOT NULL CHECK (state IN ('SEEN', 'FINAL', 'ORPHANED', 'ORPHANED_AFTER_FINAL')),
  block_height bigint NOT NULL,
  block_hash   text NOT NULL,
  block_at_ms  bigint NOT NULL,
  PRIMARY KEY (chain, txid)
);
CREATE INDEX outflow_seen ON operations.outflow (chain, block_height) WHERE state = 'SEEN';

CREATE TABLE operations.intent (
  id         text PRIMARY KEY CHECK (id ~ '^int_'),
  -- Canonical JSON (RFC 8785), byte for byte what was hashed and signed.
  canonical  text NOT NULL,
  hash       text NOT NULL UNIQUE,
  key_id     text NOT NULL,
  signature  text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER intent_append_only BEFORE UPDATE OR DELETE ON operations.intent
  FOR EACH ROW EXECUTE FUNCTION operations.append_only();

-- Policies and rosters decisions were made under, by hash, so that a certificate can carry them later.
CREATE TABLE operations.pinned_document (
  hash     text PRIMARY KEY,
  kind     text NOT NULL CHECK (kind IN ('policy', 'roster')),
  document jsonb NOT NULL
);

CREATE TABLE operations.batch (
  id         text PRIMARY KEY CHECK (id ~ '^bat_'),
  chain      text NOT NULL,
  wallet_id  text NOT NULL,
  state      text NOT NULL CHECK (state IN ('OPEN', 'CLOSED')),
  created_at timestamptz NOT NULL DEFAULT now(),
  closed_at  timestamptz
);
-- A gapped nonce blocks all later ones, so a wallet works through one batch at a time.
CREATE UNIQUE INDEX batch_open ON operations.batch (chain, wallet_id) WHERE state = 'OPEN';

CREATE TABLE operations.withdrawal (
  id             text PRIMARY KEY CHECK (id ~ '^wd_'),
  account_id     text NOT NULL REFERENCES operations.customer_account,
  chain          text NOT NULL,
  wallet_id      text NOT NULL,
  asset          text NOT NULL,
  address        text NOT NULL,
  units          numeric(78, 0) NOT NULL CHECK (units > 0),
  fee_cap_units  numeric(78, 0) NOT NULL CHECK (fee_cap_units > 0),
  state          text NOT NULL CHECK (state IN ('REQUESTED', 'SCREENED', 'PENDING_APPROVAL', 'APPROVED', 'QUEUED',
                   'SIGNING', 'BROADCAST', 'CONFIRMED', 'FINAL', 'REJECTED', 'EXPIRED', 'CANCELLED', 'FAILED')),
  version        integer NOT NULL DEFAULT 1,
  intent_id      text NOT NULL UNIQUE REFERENCES operations.intent,
  decision       jsonb,
  policy_hash    text REFERENCES operations.pinned_document,
  roster_hash    text REFERENCES operations.pinned_document,
  batch_id       text REFERENCES operations.batch,
  -- The network fee is reserved at the claim and stays so until the withdrawal ends or gives its nonce back.
  fee_reserved   boolean NOT NULL DEFAULT false,
  -- How often a reservation was released: names the ledger's lines of the one that is meant.
  fee_round      integer NOT NULL DEFAULT 0 CHECK (fee_round >= 0),
  txid           text,
  fee_units      numeric(78, 0),
  -- Set while a nonce is reserved: given back only if nothing was built for it.
  nonce          bigint,
  -- How it ends once a cancel has used up its nonce; the hold stays until that is final.
  ending         text CHECK (ending IN ('REJECTED', 'EXPIRED', 'CANCELLED')),
  not_before_ms  bigint NOT NULL DEFAULT 0,
  not_after_ms   bigint NOT NULL,
  created_at_ms  bigint NOT NULL,
  queued_at      timestamptz,
  CHECK (ending IS NULL OR (nonce IS NOT NULL AND state IN ('PENDING_APPROVAL', ending)))
);
CREATE INDEX withdrawal_queued ON operations.withdrawal (chain, wallet_id, queued_at, id) WHERE state = 'QUEUED';
CREATE INDEX withdrawal_account ON operations.withdrawal (account_id, created_at_ms DESC, id DESC);
CREATE INDEX withdrawal_listed ON operations.withdrawal (created_at_ms DESC, id DESC);
CREATE INDEX withdrawal_in_flight ON operations.withdrawal (wallet_id)
  WHERE state IN ('SIGNING', 'BROADCAST', 'CONFIRMED');

CREATE TABLE operations.withdrawal_event (
  withdrawal_id text NOT NULL REFERENCES operations.withdrawal,
  seq           integer NOT NULL,
  at_ms         bigint NOT NULL,
  state         text NOT NULL,
  event         text NOT NULL,
  details       jsonb NOT NULL,
  PRIMARY KEY (withdrawal_id, seq)
);
CREATE TRIGGER withdrawal_event_append_only BEFORE UPDATE OR DELETE ON operations.withdrawal_event
  FOR EACH ROW EXECUTE FUNCTION operations.append_only();

CREATE TABLE operations.batch_row (
  batch_id      text NOT NULL REFERENCES operations.batch,
  position      integer NOT NULL,
  withdrawal_id text NOT NULL REFERENCES operations.withdrawal,
  PRIMARY KEY (batch_id, position),
  UNIQUE (batch_id, withdrawal_id)
);

-- One approval per person and withdrawal under one policy and roster; a new policy asks anew.
CREATE TABLE operations.approval (
  id            text PRIMARY KEY CHECK (id ~ '^apr_'),
  withdrawal_id text NOT NULL REFERENCES operations.withdrawal,
  approver      text NOT NULL,
  group_name    text NOT NULL,
  decision      text NOT NULL CHECK (decision IN ('approve', 'reject')),
  document      jsonb NOT NULL,
  policy_hash   text NOT NULL,
  roster_hash   text NOT NULL,
  -- What the approver saw.
  evidence      jsonb NOT NULL,
  created_at    timestamptz NOT NULL DEFAULT now(),
  UNIQUE (withdrawal_id, approver, policy_hash, roster_hash)
);
CREATE TRIGGER approval_append_only BEFORE UPDATE OR DELETE ON operations.approval
  FOR EACH ROW EXECUTE FUNCTION operations.append_only();

-- Every refused try to approve.
CREATE TABLE operations.approval_attempt (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  withdrawal_id text NOT NULL,
  approver      text NOT NULL,
  group_name    text NOT NULL,
  defect        text NOT NULL,
  document      jsonb NOT NULL,
  created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER approval_attempt_append_only BEFORE UPDATE OR DELETE ON operations.approval_attempt
  FOR EACH ROW EXECUTE FUNCTION operations.append_only();

CREATE TABLE operations.sweep (
  id            text PRIMARY KEY CHECK (id ~ '^swp_'),
  chain         text NOT NULL,
  wallet_id     text NOT NULL,
  asset         text NOT NULL,
  address       text NOT NULL,
  path          text NOT NULL,
  units         numeric(78, 0) NOT NULL CHECK (units > 0),
  fee_cap_units numeric(78, 0) NOT NULL CHECK (fee_cap_units > 0),
  state         text NOT NULL CHECK (state IN ('SIGNING', 'BROADCAST', 'CONFIRMED', 'FINAL', 'FAILED')),
  version       integer NOT NULL DEFAULT 1,
  intent_id     text NOT NULL UNIQUE REFERENCES operations.intent,
  txid          text,
  fee_units     numeric(78, 0),
  created_at_ms bigint NOT NULL
);
-- One sweep per address at a time: its balance is spoken for.
CREATE UNIQUE INDEX sweep_open ON operations.sweep (wallet_id, path)
  WHERE state IN ('SIGNING', 'BROADCAST', 'CONFIRMED');

CREATE TABLE operations.certificate (
  withdrawal_id text PRIMARY KEY REFERENCES operations.withdrawal,
  document      jsonb NOT NULL,
  created_at    timestamptz NOT NULL DEFAULT now()
);
