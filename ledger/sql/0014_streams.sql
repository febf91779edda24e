-- How far each stream of events from outside has been booked (trades by engine sequence, for one). The position advances in
-- the transaction that books the events, and only from where it is: a portion is booked once, whoever sends it twice.
CREATE TABLE ledger.stream (
  name     text PRIMARY KEY CHECK (name ~ '^[!-~]{1,128}$'),
  position bigint NOT NULL CHECK (position >= 0)
) WITH (fillfactor = 10);
CREATE TRIGGER stream_kept BEFORE DELETE OR TRUNCATE ON ledger.stream
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
REVOKE ALL ON ledger.stream FROM PUBLIC;

-- Returns the position before. It has changed only if that was p_after.
CREATE FUNCTION ledger.advance_stream(p_name text, p_after bigint, p_up_to bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_position bigint;
BEGIN
  IF p_after IS NULL OR p_up_to IS NULL OR p_up_to <= p_after OR p_after < 0 THEN
    RAISE EXCEPTION 'ledger.advance_stream: % to % is not a portion of a stream', p_after, p_up_to USING ERRCODE = 'LG003';
  END IF;
  INSERT INTO ledger.stream (name, position) VALUES (p_name, 0) ON CONFLICT DO NOTHING;
  SELECT s.position INTO STRICT v_position FROM ledger.stream AS s WHERE s.name = p_name FOR NO KEY UPDATE;
  IF v_position = p_after THEN
    UPDATE ledger.stream SET position = p_up_to WHERE name = p_name;
  END IF;
  RETURN v_position;
END $$;
REVOKE ALL ON FUNCTION ledger.advance_stream FROM PUBLIC;
