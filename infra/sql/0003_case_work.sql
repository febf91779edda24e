-- Working on cases: an owner, who closed it, and what happened to it in order. Lifting a halt: by two people, and kept.
ALTER TABLE infra.incident_case
  ADD COLUMN owner text CHECK (owner <> ''),
  ADD COLUMN closed_by text CHECK (closed_by <> '');
UPDATE infra.incident_case SET closed_by = 'unknown' WHERE closed_at IS NOT NULL;
ALTER TABLE infra.incident_case ADD CHECK ((closed_at IS NULL) = (closed_by IS NULL));

-- What became of the last one like it.
CREATE INDEX incident_case_newest ON infra.incident_case (kind, subject, opened_at);

CREATE TABLE infra.case_event (
  case_id text NOT NULL REFERENCES infra.incident_case,
  seq     integer NOT NULL CHECK (seq >= 1),
  at      timestamptz NOT NULL DEFAULT clock_timestamp(),
  event   text NOT NULL CHECK (event IN ('opened', 'assigned', 'noted', 'closed')),
  -- The name of an api token, or `system`.
  actor   text NOT NULL CHECK (actor <> ''),
  -- The new owner, the note, the resolution.
  note    text NOT NULL,
  PRIMARY KEY (case_id, seq)
);

-- One row for each reason a scope was halted for, and each time it went on.
CREATE TABLE infra.halt_event (
  id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  scope  text NOT NULL CHECK (scope <> ''),
  -- When the halt it is about was set.
  set_at timestamptz NOT NULL,
  at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  event  text NOT NULL CHECK (event IN ('set', 'lifted')),
  reason text NOT NULL CHECK (reason <> ''),
  people text[] NOT NULL,
  CHECK (event = 'set' OR (cardinality(people) >= 2 AND people[1] <> people[2]))
);
CREATE UNIQUE INDEX halt_event_lifted ON infra.halt_event (scope, set_at) WHERE event = 'lifted';
CREATE INDEX halt_event_set ON infra.halt_event (scope, set_at) WHERE event = 'set';
INSERT INTO infra.halt_event (scope, set_at, event, reason, people)
  SELECT scope, set_at, 'set', reason, '{}' FROM infra.halt;

CREATE FUNCTION infra.append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'rows of infra.% are never changed', TG_TABLE_NAME;
END $$;
CREATE TRIGGER case_event_append_only BEFORE UPDATE OR DELETE ON infra.case_event
  FOR EACH ROW EXECUTE FUNCTION infra.append_only();
CREATE TRIGGER halt_event_append_only BEFORE UPDATE OR DELETE ON infra.halt_event
  FOR EACH ROW EXECUTE FUNCTION infra.append_only();

-- What happened stays what it was, and a closed case stays closed: what comes after is another case.
CREATE FUNCTION infra.case_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    RAISE EXCEPTION 'cases are never deleted';
  END IF;
  IF OLD.closed_at IS NOT NULL
     OR (NEW.id, NEW.kind, NEW.subject, NEW.details, NEW.opened_at)
        IS DISTINCT FROM (OLD.id, OLD.kind, OLD.subject, OLD.details, OLD.opened_at) THEN
    RAISE EXCEPTION 'case % is closed, or its facts would change', OLD.id;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER case_is_kept BEFORE UPDATE OR DELETE ON infra.incident_case
  FOR EACH ROW EXECUTE FUNCTION infra.case_is_kept();

-- The halt goes only after two people were written down for it.
CREATE FUNCTION infra.halt_needs_two_people() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' OR NOT EXISTS
     (SELECT FROM infra.halt_event WHERE scope = OLD.scope AND set_at = OLD.set_at AND event = 'lifted') THEN
    RAISE EXCEPTION 'the halt of % was not lifted by two people', OLD.scope;
  END IF;
  RETURN OLD;
END $$;
CREATE TRIGGER halt_needs_two_people BEFORE UPDATE OR DELETE ON infra.halt
  FOR EACH ROW EXECUTE FUNCTION infra.halt_needs_two_people();
