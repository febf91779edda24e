-- Full partitions of matching.trade are sealed, as those of the ledger's journal are.

-- A full partition gets no more rows: each number of its range is taken, so the primary key refuses any other. Told that, vacuum freezes
-- its last tenth too, and its files are never written again. What somebody vacuums or analyses at the moment is left to the next call.
CREATE FUNCTION matching.seal_trade_partitions(p_engine smallint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms' AS $$
DECLARE
  v_name text;
BEGIN
  FOR v_name IN
    SELECT p.name
      FROM matching.trade_partition AS p
      JOIN matching.head AS h ON h.engine = p.engine
      JOIN pg_class AS c ON c.relname = p.name AND c.relnamespace = 'matching'::regnamespace
     WHERE p.engine = p_engine AND p.last_trade <= h.trades
       AND NOT 'autovacuum_vacuum_insert_threshold=0' = ANY (coalesce(c.reloptions, '{}'))
     ORDER BY p.first_trade
  LOOP
    BEGIN
      EXECUTE format('ALTER TABLE matching.%I SET (autovacuum_vacuum_insert_threshold = 0)', v_name);
    EXCEPTION WHEN lock_not_available THEN
      NULL;
    END;
  END LOOP;
END $$;
REVOKE ALL ON FUNCTION matching.seal_trade_partitions FROM PUBLIC;

-- As before, and seals. Not in a call that made partitions: that one has the lock of the head, and the settler waits for it.
CREATE OR REPLACE FUNCTION matching.ensure_trade_partitions(p_engine smallint, p_ahead int) RETURNS SETOF text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s' AS $$
DECLARE
  v_wanted bigint;
BEGIN
  IF p_ahead IS NULL OR p_ahead NOT BETWEEN 1 AND 64 THEN
    RAISE EXCEPTION 'matching.ensure_trade_partitions: % partitions ahead, allowed are 1 to 64', p_ahead USING ERRCODE = 'MT006';
  END IF;
  SELECT h.trades + p_ahead * matching.trade_partition_rows() INTO STRICT v_wanted FROM matching.head AS h WHERE h.engine = p_engine;
  IF v_wanted > (SELECT h.room FROM matching.head AS h WHERE h.engine = p_engine) THEN
    RETURN QUERY SELECT matching.add_trade_partitions(p_engine, v_wanted);
  ELSE
    PERFORM matching.seal_trade_partitions(p_engine);
  END IF;
END $$;
