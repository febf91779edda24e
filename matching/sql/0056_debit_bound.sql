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

-- A main account stays open also while a debit to it may be on its way: the settlement would have nowhere to book what the engine let go
-- of, and would stop for everybody. Who sends a debit and who closes the account come one after the other, by a lock of that account:
-- they see what the one before them has committed.
CREATE FUNCTION matching.main_account_lock(p_path text, p_asset text) RETURNS bigint LANGUAGE sql IMMUTABLE
RETURN hashtextextended('strongroom/matching/main' || E'\n' || p_path || E'\n' || p_asset, 0);

-- A debit to a closed account is not noted, so it is not sent.
CREATE FUNCTION matching.only_to_open_main() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_path CONSTANT text := 'customer:acc_' || NEW.account || ':main';
BEGIN
  PERFORM pg_advisory_xact_lock_shared(matching.main_account_lock(v_path, NEW.asset));
  IF EXISTS (SELECT FROM ledger.account AS a JOIN ledger.balance AS b ON b.account = a.id
              WHERE a.path = v_path AND a.asset = NEW.asset AND b.closed) THEN
    RETURN NULL;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER spot_transfer_to_open_main BEFORE UPDATE OF sent ON matching.spot_transfer
  FOR EACH ROW WHEN (NOT NEW.to_spot AND NEW.sent > NEW.refused) EXECUTE FUNCTION matching.only_to_open_main();

-- Who closes has the lock of the ledger, for which all its writers wait: so it waits a second at most (SQLSTATE 55P03).
CREATE FUNCTION matching.refuse_closing_before_debit() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s' AS $$
DECLARE
  v_path text; v_asset text;
BEGIN
  SELECT a.path, a.asset INTO v_path, v_asset FROM ledger.account AS a WHERE a.id = NEW.account AND a.kind = 'customer-main';
  IF NOT FOUND THEN
    RETURN NEW;
  END IF;
  PERFORM pg_advisory_xact_lock(matching.main_account_lock(v_path, v_asset));
  IF EXISTS (SELECT FROM matching.spot_transfer AS t
              WHERE t.state = 'pending' AND NOT t.to_spot AND t.sent > t.refused AND t.asset = v_asset
                AND 'customer:acc_' || t.account || ':main' = v_path) THEN
    RAISE EXCEPTION 'matching: % of % cannot be closed now, a transfer to it may be on its way out of the engine', v_path, v_asset
      USING ERRCODE = 'MT008', HINT = 'Close it again when its transfers to main have ended, usually within seconds.';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER balance_debited_stays_open BEFORE UPDATE OF closed ON ledger.balance
  FOR EACH ROW WHEN (NEW.closed AND NOT OLD.closed) EXECUTE FUNCTION matching.refuse_closing_before_debit();
REVOKE ALL ON FUNCTION matching.main_account_lock, matching.only_to_open_main, matching.refuse_closing_before_debit FROM PUBLIC;

COMMENT ON INDEX matching.movement_client IS
  'Not unique: the engine remembers the newest client ids of all accounts together only, and what it did is booked.';
