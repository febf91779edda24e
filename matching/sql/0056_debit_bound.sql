-- A transfer to main is debited at most once, also when an attempt is on its way for long or the view of the engine is old.
ALTER TABLE matching.spot_transfer
  -- The greatest number a debit of it may get in the engine, which refuses it beyond that: so long as it may still come, the engine
  -- remembers one that came before. Another one begins only when all up to it is settled and no debit was among that. NULL: none was sent.
  ADD COLUMN debit_by bigint CHECK (debit_by >= 1),
  -- Debits that were sent under that number, and those of them that are known not to have been taken.
  ADD COLUMN sent    integer NOT NULL DEFAULT 0,
  ADD COLUMN refused integer NOT NULL DEFAULT 0 CHECK (refused BETWEEN 0 AND sent),
  -- As long as one may yet be taken, it is not said that nothing was moved.
  ADD CONSTRAINT spot_transfer_refused_by_all CHECK (state <> 'refused' OR refused = sent);

-- What was asked for never changes, and what has ended stays so.
CREATE OR REPLACE FUNCTION matching.spot_transfer_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.id, NEW.engine, NEW.account, NEW.asset, NEW.units, NEW.to_spot, NEW.client_id, NEW.at_ms)
       IS DISTINCT FROM (OLD.id, OLD.engine, OLD.account, OLD.asset, OLD.units, OLD.to_spot, OLD.client_id, OLD.at_ms)
     OR OLD.state <> 'pending' OR NEW.debit_by < OLD.debit_by THEN
    RAISE EXCEPTION 'matching.spot_transfer: change of % refused', OLD.id USING ERRCODE = 'MT001';
  END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION matching.grant_trading(p_role name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM matching.grant_reader(p_role);
  EXECUTE format('GRANT INSERT, UPDATE (state, refusal, debit_by, sent, refused) ON matching.spot_transfer TO %I', p_role);
END $$;
