-- Corrections by hand. Nothing that was booked is changed: an adjustment is a new transfer, with a reason, proposed by one
-- person and approved by another. apply_batch asks adjustment_is_approved, so no caller can book one alone.
CREATE TABLE ledger.adjustment (
  id          uuid PRIMARY KEY, -- also the id of the transfer that carries it out
  debit       text NOT NULL,
  credit      text NOT NULL CHECK (credit <> debit),
  asset       text NOT NULL,
  amount      numeric(78, 0) NOT NULL CHECK (amount > 0),
  reason      text NOT NULL CHECK (length(reason) BETWEEN 1 AND 1000),
  corrects    uuid, -- the transfer that was wrong, if it was one
  proposed_by text NOT NULL CHECK (proposed_by <> ''),
  proposed_at timestamptz NOT NULL DEFAULT now(),
  evidence    jsonb
);
CREATE TABLE ledger.adjustment_approval (
  adjustment  uuid NOT NULL REFERENCES ledger.adjustment,
  person      text NOT NULL CHECK (person <> ''),
  approved_at timestamptz NOT NULL DEFAULT now(),
  evidence    jsonb, -- what proves that it was this person: a passkey's assertion
  PRIMARY KEY (adjustment, person)
);
CREATE TRIGGER adjustment_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.adjustment
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER adjustment_approval_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.adjustment_approval
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
REVOKE ALL ON ledger.adjustment, ledger.adjustment_approval FROM PUBLIC;
REVOKE UPDATE, DELETE, TRUNCATE ON ledger.adjustment, ledger.adjustment_approval FROM CURRENT_USER;

CREATE FUNCTION ledger.adjustment_is_approved(
  p_id uuid, p_kind ledger.transfer_kind, p_debit text, p_credit text, p_asset text, p_amount numeric
) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp RETURN
  p_kind = 'post' AND EXISTS (
    SELECT FROM ledger.adjustment AS j JOIN ledger.adjustment_approval AS v ON v.adjustment = j.id
     WHERE j.id = p_id AND j.debit = p_debit AND j.credit = p_credit AND j.asset = p_asset AND j.amount = p_amount
       AND v.person <> j.proposed_by);
REVOKE ALL ON FUNCTION ledger.adjustment_is_approved FROM PUBLIC;
