-- Corrections by hand. Nothing that was booked is changed: an adjustment is a new transfer, with a reason, proposed by one
-- person and approved by another. apply_batch asks adjustment_is_approved, so no caller can book one alone.
-- One row per leg. The content of an adjustment is its proposer, reason, what it corrects and all legs.
CREATE TABLE ledger.adjustment (
  id          uuid PRIMARY KEY, -- also the id of the transfer that carries it out; follows from content and leg
  content     text NOT NULL CHECK (content ~ '^sha256:[0-9a-f]{64}$'), -- also the reference of the transfers
  leg         integer NOT NULL CHECK (leg >= 1),
  debit       text NOT NULL,
  credit      text NOT NULL CHECK (credit <> debit),
  asset       text NOT NULL,
  amount      numeric(78, 0) NOT NULL CHECK (amount > 0),
  reason      text NOT NULL CHECK (length(reason) BETWEEN 1 AND 1000),
  corrects    uuid, -- the transfer that was wrong, if it was one
  proposed_by text NOT NULL CHECK (proposed_by <> ''),
  proposed_at timestamptz NOT NULL DEFAULT now(),
  evidence    jsonb, -- what proves that it was this person: the statement signed and a passkey's assertion
  UNIQUE (content, leg)
);
CREATE INDEX adjustment_proposed ON ledger.adjustment (proposed_at);
CREATE TABLE ledger.adjustment_approval (
  adjustment  uuid NOT NULL, -- see assert_second_person: a foreign key would lock the row, which append-only forbids
  person      text NOT NULL CHECK (person <> ''),
  approved_at timestamptz NOT NULL DEFAULT now(),
  evidence    jsonb,
  PRIMARY KEY (adjustment, person)
);
CREATE FUNCTION ledger.assert_second_person() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM ledger.adjustment AS j WHERE j.id = NEW.adjustment AND j.proposed_by <> NEW.person) THEN
    RAISE EXCEPTION 'ledger.adjustment_approval: % cannot approve %: not proposed, or by the same person', NEW.person, NEW.adjustment
      USING ERRCODE = 'LG001';
  END IF;
  RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION ledger.assert_second_person FROM PUBLIC;
CREATE TRIGGER adjustment_approval_of_another BEFORE INSERT ON ledger.adjustment_approval
  FOR EACH ROW EXECUTE FUNCTION ledger.assert_second_person();
CREATE TRIGGER adjustment_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.adjustment
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER adjustment_approval_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.adjustment_approval
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
REVOKE ALL ON ledger.adjustment, ledger.adjustment_approval FROM PUBLIC;
REVOKE UPDATE, DELETE, TRUNCATE ON ledger.adjustment, ledger.adjustment_approval FROM CURRENT_USER;

CREATE FUNCTION ledger.adjustment_is_approved(
  p_id uuid, p_kind ledger.transfer_kind, p_debit text, p_credit text, p_asset text, p_amount numeric, p_reference text
) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp RETURN
  p_kind = 'post' AND EXISTS (
    SELECT FROM ledger.adjustment AS j JOIN ledger.adjustment_approval AS v ON v.adjustment = j.id
     WHERE j.id = p_id AND j.debit = p_debit AND j.credit = p_credit AND j.asset = p_asset AND j.amount = p_amount
       AND j.content = p_reference
       AND v.person <> j.proposed_by);
REVOKE ALL ON FUNCTION ledger.adjustment_is_approved FROM PUBLIC;
