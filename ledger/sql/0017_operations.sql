-- What operating the ledger needs: partitions ahead of the writers, and roles that can only add.

-- Keeps p_ahead whole partitions ready beyond the one that is written. Returns what was done, nothing for the usual case.
-- For everybody to call at any time: what cannot be locked within a tenth of a second is left to the next call (SQLSTATE
-- 55P03), because whoever waits for a lock here makes all later readers and writers wait behind it.
--
-- Rows that no partition was there for lie in transfer_rest. They are not moved: that table becomes a partition with the
-- rows it has, and an empty one takes its place. Writers wait while its rows are read once, to see that they are in range.
CREATE FUNCTION ledger.ensure_partitions(p_ahead int) RETURNS TABLE (partition text, action text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms' AS $$
#variable_conflict use_column
DECLARE
  c_lock_key CONSTANT bigint := 7305871016; -- any fixed number
  v_rows CONSTANT bigint := ledger.partition_rows();
  v_last_seq bigint;
  v_covered bigint;
  v_name text;
BEGIN
  IF p_ahead IS NULL OR p_ahead NOT BETWEEN 1 AND 64 THEN
    RAISE EXCEPTION 'ledger.ensure_partitions: % partitions ahead, allowed are 1 to 64', p_ahead USING ERRCODE = 'LG003';
  END IF;
  IF NOT pg_try_advisory_xact_lock(c_lock_key) THEN
    RETURN; -- another process is at it
  END IF;
  SELECT h.last_seq, (SELECT coalesce(max(last_seq), 0) FROM ledger.transfer_partition) INTO v_last_seq, v_covered FROM ledger.head AS h;

  IF v_last_seq > v_covered THEN
    SELECT h.last_seq INTO STRICT v_last_seq FROM ledger.head AS h FOR NO KEY UPDATE;
    ALTER TABLE ledger.transfer DETACH PARTITION ledger.transfer_rest;
    v_name := ledger.next_partition_name();
    EXECUTE format('ALTER TABLE ledger.transfer_rest RENAME TO %I', v_name);
    EXECUTE format('ALTER TABLE ledger.transfer ATTACH PARTITION ledger.%I FOR VALUES FROM (%s) TO (%s)',
      v_name, v_covered + 1, v_covered + 1 + ((v_last_seq - v_covered - 1) / v_rows + 1) * v_rows);
    PERFORM ledger.make_partition_table('transfer_rest');
    ALTER TABLE ledger.transfer ATTACH PARTITION ledger.transfer_rest DEFAULT;
    RETURN QUERY SELECT v_name, 'rest-attached';
    v_covered := (SELECT max(last_seq) FROM ledger.transfer_partition);
  END IF;

  WHILE v_covered < v_last_seq + p_ahead * v_rows LOOP
    RETURN QUERY SELECT ledger.add_partition(), 'added';
    v_covered := v_covered + v_rows;
  END LOOP;

  -- What is full gets no more rows: vacuum freezes its last tenth too, and it is never written again.
  FOR v_name IN
    SELECT p.name FROM ledger.transfer_partition AS p JOIN pg_class AS c ON c.oid = p.partition
     WHERE p.last_seq <= v_last_seq AND NOT 'autovacuum_vacuum_insert_threshold=0' = ANY (coalesce(c.reloptions, '{}'))
  LOOP
    BEGIN
      EXECUTE format('ALTER TABLE ledger.%I SET (autovacuum_vacuum_insert_threshold = 0)', v_name);
      RETURN QUERY SELECT v_name, 'sealed';
    EXCEPTION WHEN lock_not_available THEN
      NULL; -- vacuum is at it
    END;
  END LOOP;
END $$;
REVOKE ALL ON FUNCTION ledger.ensure_partitions FROM PUBLIC;

-- ---------------------------------------------------------------- vacuum
-- Rows that are only added: frozen within a million of them instead of a fifth of the table, which at a billion is two days of
-- work at once. Holds: a hundredth of them dead instead of a fifth, because ending a hold always writes its indexes too.
ALTER TABLE ledger.transfer_id SET (
  autovacuum_freeze_min_age = 0, autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 1000000);
ALTER TABLE ledger.batch SET (
  autovacuum_freeze_min_age = 0, autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 1000000);
ALTER TABLE ledger.pending SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 10000);

-- ---------------------------------------------------------------- roles
-- The owner migrates; processes need less. Both functions can be called again, and are after each migration.

-- Everything but the secrets of the proofs of liabilities; and to prove the books.
CREATE FUNCTION ledger.grant_reader(p_role name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  EXECUTE format('GRANT USAGE ON SCHEMA ledger TO %I', p_role);
  EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA ledger TO %I', p_role);
  EXECUTE format('REVOKE SELECT ON ledger.liabilities_secret FROM %I', p_role);
  EXECUTE format('GRANT EXECUTE ON FUNCTION ledger.verify, ledger.verify_batches, ledger.verify_totals TO %I', p_role);
END $$;

-- Also to write, by the functions that keep the books true, and to add what only ever gets more. No UPDATE, DELETE or TRUNCATE
-- of anything; not apply_batch_at: who chooses the time chooses which holds have expired.
CREATE FUNCTION ledger.grant_writer(p_role name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM ledger.grant_reader(p_role);
  EXECUTE format('GRANT SELECT ON ledger.liabilities_secret TO %I', p_role);
  EXECUTE format('GRANT EXECUTE ON FUNCTION ledger.apply_batch, ledger.transfer_one, ledger.open_accounts,
    ledger.advance_stream, ledger.ensure_partitions TO %I', p_role);
  EXECUTE format('GRANT INSERT ON ledger.adjustment, ledger.adjustment_approval, ledger.exported_head,
    ledger.liabilities_snapshot, ledger.liabilities_secret, ledger.liabilities_subtree TO %I', p_role);
END $$;
REVOKE ALL ON FUNCTION ledger.grant_reader, ledger.grant_writer FROM PUBLIC;
