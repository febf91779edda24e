-- Messages written in the transaction of the change they tell of, delivered afterwards at least once.
CREATE TABLE infra.outbox (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  topic        text NOT NULL CHECK (topic <> ''),
  key          text NOT NULL,
  payload      jsonb NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT now(),
  delivered_at timestamptz
);
CREATE INDEX outbox_undelivered ON infra.outbox (topic, id) WHERE delivered_at IS NULL;
