-- What a person must look at, and what stands still until then.
CREATE TABLE infra.incident_case (
  id         text PRIMARY KEY,
  kind       text NOT NULL CHECK (kind <> ''),
  subject    text NOT NULL CHECK (subject <> ''),
  details    jsonb NOT NULL,
  opened_at  timestamptz NOT NULL DEFAULT now(),
  closed_at  timestamptz,
  resolution text,
  CHECK ((closed_at IS NULL) = (resolution IS NULL))
);
CREATE UNIQUE INDEX incident_case_open ON infra.incident_case (kind, subject) WHERE closed_at IS NULL;

CREATE TABLE infra.halt (
  scope  text PRIMARY KEY CHECK (scope <> ''),
  reason text NOT NULL CHECK (reason <> ''),
  set_at timestamptz NOT NULL DEFAULT now()
);
