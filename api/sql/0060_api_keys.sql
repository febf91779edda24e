-- Public halves of the keys that requests of the trading API are signed with. A key is never changed and never removed: it is
-- registered once and revoked once.
CREATE SCHEMA api;

CREATE TABLE api.api_key (
  id          uuid PRIMARY KEY,
  name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
  -- Also of revoked keys: a signature names its key by the key alone, and what was lost does not come back under another id.
  public_key  bytea NOT NULL UNIQUE CHECK (length(public_key) = 32),
  accounts    uuid[] NOT NULL CHECK (cardinality(accounts) BETWEEN 1 AND 100 AND array_position(accounts, NULL) IS NULL),
  permissions text[] NOT NULL CHECK (cardinality(permissions) BETWEEN 1 AND 3 AND permissions <@ ARRAY['read', 'trade', 'transfer']),
  rate_tier   text NOT NULL CHECK (rate_tier IN ('standard', 'professional', 'market-maker')),
  created_at  timestamptz NOT NULL DEFAULT now(),
  created_by  text NOT NULL CHECK (length(created_by) BETWEEN 1 AND 64),
  revoked_at  timestamptz,
  revoked_by  text CHECK (length(revoked_by) BETWEEN 1 AND 64),
  CHECK ((revoked_at IS NULL) = (revoked_by IS NULL))
);
CREATE INDEX api_key_accounts ON api.api_key USING gin (accounts);

CREATE FUNCTION api.keep_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND TG_LEVEL = 'ROW' THEN
    IF OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL
       AND (to_jsonb(NEW) - 'revoked_at' - 'revoked_by') = (to_jsonb(OLD) - 'revoked_at' - 'revoked_by') THEN
      RETURN NEW;
    END IF;
  END IF;
  RAISE EXCEPTION 'api.api_key: a key is registered once and revoked once, % refused', TG_OP USING ERRCODE = 'AP001';
END $$;
CREATE TRIGGER api_key_revoked_once BEFORE UPDATE ON api.api_key FOR EACH ROW EXECUTE FUNCTION api.keep_key();
CREATE TRIGGER api_key_kept BEFORE DELETE OR TRUNCATE ON api.api_key FOR EACH STATEMENT EXECUTE FUNCTION api.keep_key();
REVOKE ALL ON api.api_key FROM PUBLIC;
