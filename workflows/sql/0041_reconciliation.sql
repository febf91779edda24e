-- What reconciliation found, what of it still stands, how far its rounds are, and who wants a halt lifted.

-- Rounds over things that are too many for one run: where the next one goes on.
CREATE TABLE operations.progress (
  scope    text PRIMARY KEY,
  position text NOT NULL
);

CREATE TABLE operations.reconciliation_run (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  chain        text NOT NULL,
  at           timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- Why nothing could be said; null when it was judged.
  not_judged   text,
  -- The books speak of this final height, the observations of `height`.
  books_height bigint,
  height       bigint,
  report       jsonb NOT NULL,
  CHECK (not_judged IS NOT NULL OR (height >= books_height AND books_height >= 0))
);
CREATE INDEX reconciliation_run_chain ON operations.reconciliation_run (chain, id);

-- Breaks that stand; a row goes when the break is gone, its case stays.
CREATE TABLE operations.reconciliation_break (
  chain           text NOT NULL,
  key             text NOT NULL,
  check_name      text NOT NULL,
  subject         text NOT NULL,
  unit            text NOT NULL,
  wallet_id       text,
  difference      numeric NOT NULL,
  at_stake        numeric NOT NULL CHECK (at_stake >= 0),
  problem         text NOT NULL,
  -- Runs in a row that found it.
  runs            integer NOT NULL CHECK (runs >= 1),
  first_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- The case it became, and what people were told of it last: only more at stake, or another difference once they have
  -- closed the case, is news.
  case_id         text,
  case_difference numeric,
  case_at_stake   numeric,
  PRIMARY KEY (chain, key),
  CHECK (num_nulls(case_id, case_difference, case_at_stake) IN (0, 3))
);

CREATE INDEX outflow_intent ON operations.outflow (intent_id);
CREATE INDEX outflow_without_intent ON operations.outflow (chain, txid) WHERE intent_id IS NULL;
CREATE INDEX outflow_final ON operations.outflow (chain, sender) WHERE state = 'FINAL';
CREATE INDEX sweep_address ON operations.sweep (wallet_id, path);

-- One person's signed wish that a halt be lifted; the second different person lifts it.
CREATE TABLE operations.halt_lift (
  scope        text NOT NULL,
  -- The halt it is about, and no later one of the same scope.
  set_at_ms    bigint NOT NULL,
  approver     text NOT NULL,
  -- A person whose signature has lapsed signs anew.
  not_after_ms bigint NOT NULL,
  document     jsonb NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (scope, set_at_ms, approver, not_after_ms)
);
CREATE TRIGGER halt_lift_append_only BEFORE UPDATE OR DELETE ON operations.halt_lift
  FOR EACH ROW EXECUTE FUNCTION operations.append_only();
