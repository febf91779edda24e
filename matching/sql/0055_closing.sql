-- Accounts that the settlement books on stay open.

-- What customers trade is booked on these for all of them together, and whoever trades an asset for the first time gains it without having
-- asked the ledger: one closed account would stop the settlement of everybody. Who is not to trade is blocked in the engine.
--
-- A main account stays open while money of it is on its way into the engine: what the engine does not take goes back there, and the feed
-- waits until it does, for everybody. On its way: the account's newest transfer is one that the feed has not come by, or one of this batch.
CREATE FUNCTION matching.refuse_closing() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_path text; v_asset text; v_kind text; v_fed_seq bigint;
BEGIN
  SELECT a.path, a.asset, a.kind INTO v_path, v_asset, v_kind FROM ledger.account AS a
   WHERE a.id = NEW.account AND a.kind IN ('customer-main', 'customer-spot', 'house-clearing', 'house-income')
     AND EXISTS (SELECT FROM matching.asset AS s WHERE s.id = a.asset);
  IF NOT FOUND THEN
    RETURN NEW;
  END IF;
  IF v_kind <> 'customer-main' THEN
    RAISE EXCEPTION 'matching: % of % cannot be closed, trades of % are booked on it', v_path, v_asset, v_asset
      USING ERRCODE = 'MT007', HINT = 'Block the account in the engine; its main account can be closed.';
  END IF;
  -- Of the engine that is fed now: those before it have stopped.
  SELECT max(f.ledger_seq) INTO v_fed_seq FROM matching.fed AS f;
  IF OLD.last_seq > v_fed_seq OR NEW.debits_posted <> OLD.debits_posted THEN
    RAISE EXCEPTION 'matching: % of % cannot be closed now, the engine has not come by its newest transfer', v_path, v_asset
      USING ERRCODE = 'MT008', HINT = 'Close it again when the engine follows the ledger, usually within a second.';
  END IF;
  RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION matching.refuse_closing FROM PUBLIC;
CREATE TRIGGER balance_settled_stays_open BEFORE UPDATE OF closed ON ledger.balance
  FOR EACH ROW WHEN (NEW.closed AND NOT OLD.closed) EXECUTE FUNCTION matching.refuse_closing();
