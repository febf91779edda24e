-- What was read from the chains, and what we send to them. Amounts are numeric(78,0) base units; heights, nonces and times
-- are bigint counts. Every hash is lower-case text as the chain writes it.
CREATE SCHEMA chains;

CREATE TABLE chains.block (
  chain       text    NOT NULL CHECK (chain <> ''),
  hash        text    NOT NULL CHECK (hash <> '' AND hash = lower(hash)),
  height      bigint  NOT NULL CHECK (height >= 0),
  parent_hash text    NOT NULL CHECK (parent_hash <> '' AND parent_hash = lower(parent_hash)),
  time_ms     bigint  NOT NULL CHECK (time_ms >= 0),
  -- False once a reorg took it off the chain; it may come back.
  canonical   boolean NOT NULL DEFAULT true,
  -- Stays true on a block that was reorganised although it was final: that is the evidence of the halt.
  final       boolean NOT NULL DEFAULT false,
  PRIMARY KEY (chain, hash)
);
CREATE UNIQUE INDEX block_canonical_height ON chains.block (chain, height) WHERE canonical;

CREATE TABLE chains.cursor (
  chain            text   PRIMARY KEY,
  height           bigint NOT NULL CHECK (height >= 0),
  hash             text   NOT NULL,
  finalized_height bigint NOT NULL CHECK (finalized_height >= 0),
  updated_at       timestamptz NOT NULL DEFAULT now(),
  FOREIGN KEY (chain, hash) REFERENCES chains.block (chain, hash)
);

-- One row per paying address: the lock of its single writer, and the counter that is the authority on nonces.
CREATE TABLE chains.sender (
  chain      text   NOT NULL,
  sender     text   NOT NULL,
  next_nonce bigint NOT NULL CHECK (next_nonce >= 0),
  PRIMARY KEY (chain, sender)
);

-- One intent, one conflict set, in both directions, among the rows that are not released. A released row is history: its
-- nonce was given back before anything was built for it (docs/decisions/0014).
CREATE TABLE chains.outgoing (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  chain        text   NOT NULL,
  sender       text   NOT NULL,
  nonce        bigint NOT NULL CHECK (nonce >= 0),
  intent_id    text   NOT NULL CHECK (intent_id <> ''),
  state        text   NOT NULL DEFAULT 'reserved'
               CHECK (state IN ('reserved', 'signed', 'broadcast', 'mined', 'final', 'dead', 'released')),
  mined_tx_id  text,
  block_hash   text,
  block_height bigint CHECK (block_height >= 0),
  succeeded    boolean,
  fee_units    numeric(78, 0) CHECK (fee_units >= 0),
  created_at   timestamptz NOT NULL DEFAULT now(),
  updated_at   timestamptz NOT NULL DEFAULT now(),
  FOREIGN KEY (chain, sender) REFERENCES chains.sender (chain, sender),
  CHECK ((state IN ('mined', 'final')) = (mined_tx_id IS NOT NULL)),
  CHECK (num_nulls(mined_tx_id, block_hash, block_height, succeeded, fee_units) IN (0, 5))
);
CREATE UNIQUE INDEX outgoing_intent ON chains.outgoing (intent_id) WHERE state <> 'released';
CREATE UNIQUE INDEX outgoing_nonce ON chains.outgoing (chain, sender, nonce) WHERE state <> 'released';
CREATE INDEX outgoing_open ON chains.outgoing (chain, sender, nonce)
  WHERE state NOT IN ('final', 'dead', 'released');
CREATE INDEX outgoing_released ON chains.outgoing (chain, sender, nonce) WHERE state = 'released';

-- Every transaction ever built for a conflict set; any one that was signed may be the one that is mined.
CREATE TABLE chains.attempt (
  id                       text   PRIMARY KEY CHECK (id LIKE 'att\_%'),
  outgoing_id              bigint NOT NULL REFERENCES chains.outgoing (id),
  chain                    text   NOT NULL,
  unsigned                 text   NOT NULL CHECK (unsigned ~ '^[0-9a-f]+$'),
  recipient                text   NOT NULL,
  units                    numeric(78, 0) NOT NULL CHECK (units >= 0),
  gas_limit                numeric(78, 0) NOT NULL CHECK (gas_limit > 0),
  max_fee_per_gas          numeric(78, 0) NOT NULL CHECK (max_fee_per_gas > 0),
  max_priority_fee_per_gas numeric(78, 0) NOT NULL CHECK (max_priority_fee_per_gas <= max_fee_per_gas),
  raw                      text   CHECK (raw ~ '^[0-9a-f]+$'),
  tx_id                    text   CHECK (tx_id <> '' AND tx_id = lower(tx_id)),
  state                    text   NOT NULL DEFAULT 'built' CHECK (state IN ('built', 'signed', 'broadcast')),
  -- What the last broadcast answered; null before the first.
  outcome                  text   CHECK (outcome IN ('accepted', 'maybe', 'rejected')),
  detail                   text,
  created_at               timestamptz NOT NULL DEFAULT now(),
  UNIQUE (chain, tx_id),
  UNIQUE (outgoing_id, unsigned),
  -- Bytes and id are stored before they are sent.
  CHECK ((state = 'built') = (raw IS NULL) AND (raw IS NULL) = (tx_id IS NULL)),
  CHECK ((state = 'broadcast') = (outcome IS NOT NULL))
);
CREATE INDEX attempt_outgoing ON chains.attempt (outgoing_id, created_at);

-- What was signed stays what it was.
CREATE FUNCTION chains.attempt_bytes_are_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    RAISE EXCEPTION 'chains.attempt rows are never deleted';
  END IF;
  IF (NEW.id, NEW.outgoing_id, NEW.chain, NEW.unsigned, NEW.recipient, NEW.units, NEW.gas_limit, NEW.max_fee_per_gas,
      NEW.max_priority_fee_per_gas)
     IS DISTINCT FROM
     (OLD.id, OLD.outgoing_id, OLD.chain, OLD.unsigned, OLD.recipient, OLD.units, OLD.gas_limit, OLD.max_fee_per_gas,
      OLD.max_priority_fee_per_gas)
     OR (OLD.raw IS NOT NULL AND (NEW.raw, NEW.tx_id) IS DISTINCT FROM (OLD.raw, OLD.tx_id)) THEN
    RAISE EXCEPTION 'the bytes of attempt % are fixed', OLD.id;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER attempt_bytes_are_fixed BEFORE UPDATE OR DELETE ON chains.attempt
  FOR EACH ROW EXECUTE FUNCTION chains.attempt_bytes_are_fixed();

-- A nonce is given back only while nothing was built for it, and for good.
CREATE FUNCTION chains.outgoing_release_is_unused_and_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    RAISE EXCEPTION 'chains.outgoing rows are never deleted';
  END IF;
  IF OLD.state = 'released' THEN
    RAISE EXCEPTION 'nonce % of % was released by %', OLD.nonce, OLD.sender, OLD.intent_id;
  END IF;
  IF NEW.state = 'released' AND (OLD.state <> 'reserved' OR EXISTS
      (SELECT 1 FROM chains.attempt WHERE outgoing_id = OLD.id)) THEN
    RAISE EXCEPTION '% has attempts and keeps its nonce', OLD.intent_id;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER outgoing_release_is_unused_and_final BEFORE UPDATE OR DELETE ON chains.outgoing
  FOR EACH ROW EXECUTE FUNCTION chains.outgoing_release_is_unused_and_final();

-- The lock makes an attempt and a release wait for each other; the reference alone would not.
CREATE FUNCTION chains.attempt_needs_its_nonce() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM chains.outgoing WHERE id = NEW.outgoing_id AND state <> 'released' FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'the nonce of attempt % was released', NEW.id;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER attempt_needs_its_nonce BEFORE INSERT ON chains.attempt
  FOR EACH ROW EXECUTE FUNCTION chains.attempt_needs_its_nonce();
