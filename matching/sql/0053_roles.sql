-- Roles that can only add. The owner migrates; processes need less. The functions can be called again, and are after each migration.

-- Everything there is, and to prove it.
CREATE FUNCTION matching.grant_reader(p_role name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  EXECUTE format('GRANT USAGE ON SCHEMA matching TO %I', p_role);
  EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA matching TO %I', p_role);
  EXECUTE format('GRANT EXECUTE ON FUNCTION matching.verify, matching.trades_before, matching.trades_of, matching.fills_of TO %I', p_role);
END $$;

-- The process of an engine: also to register it, to give numbers, to book portions and to make room for them. No INSERT, UPDATE, DELETE
-- or TRUNCATE of anything. What it books in the ledger, it books with ledger.grant_writer.
CREATE FUNCTION matching.grant_engine(p_role name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM matching.grant_reader(p_role);
  EXECUTE format('GRANT EXECUTE ON FUNCTION matching.open_engine, matching.give_numbers, matching.record_portion, matching.advance_fed,
    matching.ensure_trade_partitions TO %I', p_role);
END $$;

-- A process that offers trading: also to write down what customers ask to move, and how that ended.
CREATE FUNCTION matching.grant_trading(p_role name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM matching.grant_reader(p_role);
  EXECUTE format('GRANT INSERT, UPDATE (state, refusal) ON matching.spot_transfer TO %I', p_role);
END $$;

REVOKE ALL ON SCHEMA matching FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA matching FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA matching FROM PUBLIC;
