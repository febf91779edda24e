-- What customers asked to move between their main and spot accounts. The money is in the ledger and in the engine; a row says what
-- was asked for under an id, so that the same id again asks for nothing new, and how it ended.
CREATE TABLE matching.spot_transfer (
  id        uuid PRIMARY KEY,
  engine    smallint NOT NULL REFERENCES matching.engine,
  account   uuid NOT NULL,
  asset     text NOT NULL,
  units     numeric(78, 0) NOT NULL CHECK (units >= 1), -- base units of the ledger
  to_spot   boolean NOT NULL,
  -- Of the debit in the engine, which takes it once; uint64.
  client_id numeric(20, 0) NOT NULL CHECK (client_id BETWEEN 1 AND 18446744073709551615),
  at_ms     bigint NOT NULL,
  state     text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'done', 'returned', 'refused')),
  refusal   text,
  UNIQUE (engine, account, client_id),
  CHECK ((state = 'refused') = (refusal IS NOT NULL)),
  CHECK (state <> 'refused' OR NOT to_spot),
  CHECK (state <> 'returned' OR to_spot)
);
CREATE INDEX spot_transfer_pending ON matching.spot_transfer (engine, at_ms, id) WHERE state = 'pending';

-- What was asked for never changes, and what has ended stays so; but a debit that is booked outweighs a refusal: of two attempts
-- at once, one may have been refused after the other was taken.
CREATE FUNCTION matching.spot_transfer_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.id, NEW.engine, NEW.account, NEW.asset, NEW.units, NEW.to_spot, NEW.client_id, NEW.at_ms)
       IS DISTINCT FROM (OLD.id, OLD.engine, OLD.account, OLD.asset, OLD.units, OLD.to_spot, OLD.client_id, OLD.at_ms)
     OR NOT (OLD.state = 'pending' OR (OLD.state = 'refused' AND NEW.state = 'done')) THEN
    RAISE EXCEPTION 'matching.spot_transfer: change of % refused', OLD.id USING ERRCODE = 'MT001';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER spot_transfer_is_kept BEFORE UPDATE ON matching.spot_transfer
  FOR EACH ROW EXECUTE FUNCTION matching.spot_transfer_is_kept();
CREATE TRIGGER spot_transfer_no_delete BEFORE DELETE OR TRUNCATE ON matching.spot_transfer
  FOR EACH STATEMENT EXECUTE FUNCTION matching.refuse_change();
REVOKE ALL ON matching.spot_transfer FROM PUBLIC;
