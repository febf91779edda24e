-- What the role of the api's process needs of its keys: register and revoke, and nothing else. It can be called again, and is after each
-- migration.
CREATE FUNCTION api.grant_keys(p_role name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  EXECUTE format('GRANT USAGE ON SCHEMA api TO %I', p_role);
  EXECUTE format('GRANT SELECT, INSERT, UPDATE (revoked_at, revoked_by) ON api.api_key TO %I', p_role);
END $$;
REVOKE ALL ON SCHEMA api FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA api FROM PUBLIC;
