-- The only writer of the ledger: one call applies a batch, one result per command in order, with the meaning of applying
-- them one after another. It runs inside the caller's transaction.
--
-- Locks, always in this order: the accounts by id, then the head. The head is taken last, when everything is decided, and
-- held until the caller commits: from there on batches have one order, which makes seq gap-free and in commit order. So a
-- longer transaction should call this once and as its last statement; a second call in it may meet a deadlock with another
-- writer, which PostgreSQL ends after 1 s and inTransaction runs again.
--
-- post and pending: debit, credit, asset, amount. post-pending: pending, asset, amount. void-pending: pending.
CREATE FUNCTION ledger.apply_batch(
  p_id uuid[], p_kind ledger.transfer_kind[], p_debit text[], p_credit text[], p_asset text[], p_amount numeric[],
  p_pending uuid[], p_linked boolean[], p_code ledger.transfer_code[], p_reference text[], p_at_ms bigint[]
) RETURNS TABLE (n bigint, status text, account text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  c_count CONSTANT int := coalesce(cardinality(p_id), 0);
  -- accounts of this batch, locked; i is the position in these arrays
  a_id bigint[]; a_path text[]; a_asset text[]; a_floor text[];
  a_debits_pending numeric[]; a_debits_posted numeric[]; a_credits_pending numeric[]; a_credits_posted numeric[];
  -- per command: its accounts, the first command with the same id, the slot of its pending transfer
  v_debit int[]; v_credit int[]; v_first int[]; v_slot int[];
  v_prior int[] := array_fill(0, ARRAY[c_count]);          -- in the journal before: 1 same content, 2 other content
  v_applied int[] := array_fill(0, ARRAY[c_count]);        -- by first: the command of this batch that applied the id
  -- per slot: 0 unknown, 1 pending, 2 posted, 3 voided
  s_state int[]; s_debit int[]; s_credit int[]; s_amount numeric[];
  -- what each command did
  r_status text[] := array_fill(NULL::text, ARRAY[c_count]);
  r_account text[] := array_fill(NULL::text, ARRAY[c_count]);
  r_debit int[] := array_fill(NULL::int, ARRAY[c_count]);
  r_credit int[] := array_fill(NULL::int, ARRAY[c_count]);
  r_amount numeric[] := array_fill(NULL::numeric, ARRAY[c_count]);
  r_pending numeric[] := array_fill(NULL::numeric, ARRAY[c_count]); -- change of both accounts' pending sums
  r_posted numeric[] := array_fill(NULL::numeric, ARRAY[c_count]);  -- change of both accounts' posted sums
  v_kind ledger.transfer_kind; v_is_linked boolean; v_chain_start int := 0; v_chain_failed boolean := false;
  v_status text; v_account text; v_amount numeric; v_pending_change numeric; v_posted_change numeric;
  d int; k int; s int; e int; v_ok int := 0; v_holds int := 0; v_resolutions int := 0;
  r record;
  v_head ledger.head%ROWTYPE; v_rows_hash bytea; v_hash bytea; v_new_ids bigint; v_recorded_ms bigint;
BEGIN
  IF c_count < 1 OR c_count > 8000 THEN
    RAISE EXCEPTION 'ledger.apply_batch: % commands, allowed are 1 to 8000', c_count USING ERRCODE = 'LG003';
  END IF;
  -- Two cheap tests: one expression with a bounded repetition takes 40 us each.
  IF EXISTS (SELECT FROM unnest(p_reference) AS reference
              WHERE reference IS NULL OR octet_length(reference) NOT BETWEEN 1 AND 128 OR reference ~ '[^!-~]') THEN
    RAISE EXCEPTION 'ledger.apply_batch: a reference is not 1 to 128 printable ASCII characters' USING ERRCODE = 'LG003';
  END IF;

  -- 1. Lock every account of the batch, in the order of ids. In two statements: a row that changed while the lock was
  -- waited for is checked again against the condition, which must then depend on nothing but its id.
  SELECT array_agg(w.id) INTO a_id
    FROM (SELECT named.id FROM (SELECT u.path, u.asset FROM unnest(p_debit, p_asset) AS u (path, asset)
                                UNION
                                SELECT u.path, u.asset FROM unnest(p_credit, p_asset) AS u (path, asset)) AS u
            JOIN ledger.account AS named ON named.path = u.path AND named.asset = u.asset
          UNION SELECT p.debit_account FROM ledger.pending AS p WHERE p.id = ANY (p_pending)
          UNION SELECT p.credit_account FROM ledger.pending AS p WHERE p.id = ANY (p_pending)) AS w;
  SELECT array_agg(l.id), array_agg(l.path), array_agg(l.asset), array_agg(l.floor), array_agg(l.debits_pending),
         array_agg(l.debits_posted), array_agg(l.credits_pending), array_agg(l.credits_posted)
    INTO a_id, a_path, a_asset, a_floor, a_debits_pending, a_debits_posted, a_credits_pending, a_credits_posted
    FROM (SELECT a.* FROM ledger.account AS a WHERE a.id = ANY (a_id) ORDER BY a.id FOR NO KEY UPDATE) AS l;

  -- 2. Where each command's accounts, earlier same id and pending transfer are found.
  SELECT array_agg(x.i ORDER BY c.n), array_agg(y.i ORDER BY c.n), array_agg(c.first ORDER BY c.n),
         array_agg(c.slot ORDER BY c.n)
    INTO v_debit, v_credit, v_first, v_slot
    FROM (SELECT u.n, u.debit, u.credit, u.asset, min(u.n) OVER (PARTITION BY u.id)::int AS first,
                 (dense_rank() OVER (ORDER BY coalesce(u.pending, u.id)))::int AS slot
            FROM unnest(p_id, p_debit, p_credit, p_asset, p_pending)
                 WITH ORDINALITY AS u (id, debit, credit, asset, pending, n)) AS c
    LEFT JOIN unnest(a_path, a_asset) WITH ORDINALITY AS x (path, asset, i) ON x.path = c.debit AND x.asset = c.asset
    LEFT JOIN unnest(a_path, a_asset) WITH ORDINALITY AS y (path, asset, i) ON y.path = c.credit AND y.asset = c.asset;

  -- 3. Ids that the journal has already. After the locks: whoever applied the same id has committed by now.
  FOR r IN
    SELECT c.n, t.kind = c.kind AND t.code = c.code AND t.reference = c.reference
                AND t.pending_id IS NOT DISTINCT FROM c.pending
                AND (c.kind = 'void-pending' OR (t.amount = c.amount AND x.asset = c.asset))
                AND (c.kind NOT IN ('post', 'pending') OR (x.path = c.debit AND y.path = c.credit)) AS same
      FROM unnest(p_id, p_kind, p_debit, p_credit, p_asset, p_amount, p_pending, p_code, p_reference)
           WITH ORDINALITY AS c (id, kind, debit, credit, asset, amount, pending, code, reference, n)
      JOIN ledger.transfer_id AS i ON i.id = c.id
      JOIN ledger.transfer AS t ON t.seq = i.seq
      JOIN ledger.account AS x ON x.id = t.debit_account
      JOIN ledger.account AS y ON y.id = t.credit_account
  LOOP
    v_prior[r.n] := CASE WHEN r.same THEN 1 ELSE 2 END;
  END LOOP;

  -- 4. Pending transfers that are to be posted or voided.
  s_state := array_fill(0, ARRAY[c_count]);
  s_debit := array_fill(NULL::int, ARRAY[c_count]);
  s_credit := array_fill(NULL::int, ARRAY[c_count]);
  s_amount := array_fill(NULL::numeric, ARRAY[c_count]);
  FOR r IN
    SELECT DISTINCT u.slot, p.state, p.amount, x.i::int AS debit, y.i::int AS credit
      FROM unnest(p_pending, v_slot) AS u (id, slot)
      JOIN ledger.pending AS p ON p.id = u.id
      JOIN unnest(a_id) WITH ORDINALITY AS x (id, i) ON x.id = p.debit_account
      JOIN unnest(a_id) WITH ORDINALITY AS y (id, i) ON y.id = p.credit_account
  LOOP
    s_state[r.slot] := CASE r.state WHEN 'pending' THEN 1 WHEN 'posted' THEN 2 ELSE 3 END;
    s_debit[r.slot] := r.debit;
    s_credit[r.slot] := r.credit;
    s_amount[r.slot] := r.amount;
  END LOOP;

  -- 5. Decide one after another over the arrays; nothing is written yet.
  FOR n IN 1..c_count LOOP
    v_kind := p_kind[n];
    v_is_linked := coalesce(p_linked[n], false);
    IF v_is_linked AND v_chain_start = 0 THEN
      v_chain_start := n;
      v_chain_failed := false;
    END IF;
    v_account := NULL;
    e := v_applied[v_first[n]];

    IF v_chain_start > 0 AND v_chain_failed THEN
      v_status := 'linked-failed';
    ELSIF v_is_linked AND n = c_count THEN
      v_status := 'invalid';
    ELSIF v_prior[n] > 0 THEN
      v_status := CASE v_prior[n] WHEN 1 THEN 'exists' ELSE 'conflict' END;
    ELSIF e > 0 THEN
      v_status := CASE WHEN v_kind = p_kind[e] AND p_code[n] = p_code[e] AND p_reference[n] = p_reference[e]
                        AND p_pending[n] IS NOT DISTINCT FROM p_pending[e] AND p_debit[n] IS NOT DISTINCT FROM p_debit[e]
                        AND p_credit[n] IS NOT DISTINCT FROM p_credit[e] AND p_asset[n] IS NOT DISTINCT FROM p_asset[e]
                        AND p_amount[n] IS NOT DISTINCT FROM p_amount[e] THEN 'exists' ELSE 'conflict' END;
    ELSE
      v_status := 'ok';
      s := v_slot[n];
      IF v_kind = 'post' OR v_kind = 'pending' THEN
        d := v_debit[n];
        k := v_credit[n];
        v_amount := p_amount[n];
        IF p_debit[n] = p_credit[n] OR v_amount IS NULL OR v_amount <= 0 OR p_pending[n] IS NOT NULL THEN
          v_status := 'invalid';
        ELSIF d IS NULL THEN
          v_status := 'unknown-account';
          v_account := p_debit[n];
        ELSIF k IS NULL THEN
          v_status := 'unknown-account';
          v_account := p_credit[n];
        ELSIF v_kind = 'post' THEN
          v_pending_change := 0;
          v_posted_change := v_amount;
        ELSE
          v_pending_change := v_amount;
          v_posted_change := 0;
        END IF;
      ELSIF s_state[s] = 0 THEN
        v_status := 'pending-not-found';
      ELSIF s_state[s] > 1 THEN
        v_status := 'pending-resolved';
      ELSE
        d := s_debit[s];
        k := s_credit[s];
        v_pending_change := -s_amount[s];
        IF v_kind = 'void-pending' THEN
          v_amount := s_amount[s];
          v_posted_change := 0;
        ELSE
          v_amount := p_amount[n];
          v_posted_change := v_amount;
          IF v_amount IS NULL OR v_amount <= 0 OR p_asset[n] IS DISTINCT FROM a_asset[d] THEN
            v_status := 'invalid';
          ELSIF v_amount > s_amount[s] THEN
            v_status := 'amount-exceeds-pending';
          END IF;
        END IF;
      END IF;

      IF v_status = 'ok' THEN
        IF a_floor[d] = 'held' AND a_debits_posted[d] + v_posted_change + a_debits_pending[d] + v_pending_change
                                   > a_credits_posted[d] THEN
          v_status := 'insufficient';
          v_account := a_path[d];
        ELSIF a_floor[k] = 'posted' AND a_credits_posted[k] + v_posted_change > a_debits_posted[k] THEN
          v_status := 'insufficient';
          v_account := a_path[k];
        ELSE
          a_debits_posted[d] := a_debits_posted[d] + v_posted_change;
          a_credits_posted[k] := a_credits_posted[k] + v_posted_change;
          IF v_kind <> 'post' THEN
            a_debits_pending[d] := a_debits_pending[d] + v_pending_change;
            a_credits_pending[k] := a_credits_pending[k] + v_pending_change;
            IF v_kind = 'pending' THEN
              s_state[s] := 1;
              s_debit[s] := d;
              s_credit[s] := k;
              s_amount[s] := v_amount;
              v_holds := v_holds + 1;
            ELSE
              s_state[s] := CASE v_kind WHEN 'post-pending' THEN 2 ELSE 3 END;
              v_resolutions := v_resolutions + 1;
            END IF;
          END IF;
          r_debit[n] := d;
          r_credit[n] := k;
          r_amount[n] := v_amount;
          r_pending[n] := v_pending_change;
          r_posted[n] := v_posted_change;
          v_applied[v_first[n]] := n;
          v_ok := v_ok + 1;
        END IF;
      END IF;
    END IF;
    r_status[n] := v_status;
    r_account[n] := v_account;

    -- A failure inside a chain takes back what the chain did so far.
    IF v_chain_start > 0 AND NOT v_chain_failed AND v_status <> 'ok' AND v_status <> 'exists' THEN
      v_chain_failed := true;
      FOR j IN REVERSE n - 1..v_chain_start LOOP
        IF r_status[j] = 'ok' THEN
          d := r_debit[j];
          k := r_credit[j];
          a_debits_posted[d] := a_debits_posted[d] - r_posted[j];
          a_credits_posted[k] := a_credits_posted[k] - r_posted[j];
          a_debits_pending[d] := a_debits_pending[d] - r_pending[j];
          a_credits_pending[k] := a_credits_pending[k] - r_pending[j];
          IF p_kind[j] = 'pending' THEN
            s_state[v_slot[j]] := 0;
          ELSIF p_kind[j] <> 'post' THEN
            s_state[v_slot[j]] := 1;
          END IF;
          v_applied[v_first[j]] := 0;
          v_ok := v_ok - 1;
        END IF;
        r_status[j] := 'linked-failed';
      END LOOP;
    END IF;
    IF NOT v_is_linked THEN
      v_chain_start := 0;
    END IF;
  END LOOP;

  -- 6. Write: balances (the CHECKs and the zero-sum trigger judge them again), then under the head journal and batch.
  IF v_ok > 0 THEN
    UPDATE ledger.account AS a
       SET debits_pending = u.debits_pending, debits_posted = u.debits_posted,
           credits_pending = u.credits_pending, credits_posted = u.credits_posted
      FROM unnest(a_id, a_debits_pending, a_debits_posted, a_credits_pending, a_credits_posted)
           AS u (id, debits_pending, debits_posted, credits_pending, credits_posted)
     WHERE a.id = u.id
       AND (a.debits_pending, a.debits_posted, a.credits_pending, a.credits_posted)
           IS DISTINCT FROM (u.debits_pending, u.debits_posted, u.credits_pending, u.credits_posted);

    SELECT * INTO STRICT v_head FROM ledger.head FOR NO KEY UPDATE;
    v_recorded_ms := floor(extract(epoch FROM clock_timestamp()) * 1000);
    WITH entry AS MATERIALIZED (
      SELECT v_head.last_seq + row_number() OVER (ORDER BY u.n) AS seq, u.*
        FROM unnest(p_id, p_kind, r_debit, r_credit, r_amount, p_pending, p_code, p_reference, p_at_ms, r_status)
             WITH ORDINALITY AS u (id, kind, debit, credit, amount, pending, code, reference, at_ms, status, n)
       WHERE u.status = 'ok'
    ), journal AS (
      INSERT INTO ledger.transfer (seq, id, kind, debit_account, credit_account, amount, pending_id, code, reference, at_ms)
        SELECT seq, id, kind, a_id[debit], a_id[credit], amount, pending, code, reference, at_ms FROM entry
    ), ids AS (
      INSERT INTO ledger.transfer_id (id, seq) SELECT id, seq FROM entry ON CONFLICT DO NOTHING RETURNING 1
    )
    SELECT sha256(convert_to(string_agg(ledger.transfer_line(seq, id, kind, a_path[debit], a_path[credit],
             a_asset[debit], amount, pending, code, at_ms, reference), E'\n' ORDER BY seq), 'UTF8')),
           (SELECT count(*) FROM ids)
      INTO v_rows_hash, v_new_ids FROM entry;
    IF v_new_ids <> v_ok THEN
      -- Another batch used one of the ids on other accounts after step 3; a second run will see it.
      RAISE EXCEPTION 'ledger.apply_batch: an id was used by a concurrent batch' USING ERRCODE = '40001';
    END IF;
    IF v_holds > 0 THEN
      INSERT INTO ledger.pending (id, debit_account, credit_account, amount)
        SELECT u.id, a_id[u.debit], a_id[u.credit], u.amount
          FROM unnest(p_id, p_kind, r_status, r_debit, r_credit, r_amount) AS u (id, kind, status, debit, credit, amount)
         WHERE u.status = 'ok' AND u.kind = 'pending';
    END IF;
    IF v_resolutions > 0 THEN
      UPDATE ledger.pending AS p
         SET state = CASE u.kind WHEN 'post-pending' THEN 'posted' ELSE 'voided' END, resolved_by = u.id
        FROM unnest(p_id, p_kind, r_status, p_pending) AS u (id, kind, status, pending)
       WHERE u.status = 'ok' AND u.kind IN ('post-pending', 'void-pending') AND p.id = u.pending AND p.state = 'pending';
    END IF;

    v_hash := ledger.batch_hash(v_head.hash, v_head.batch_no + 1, v_head.last_seq + 1, v_head.last_seq + v_ok,
                                v_recorded_ms, v_rows_hash);
    INSERT INTO ledger.batch (no, first_seq, last_seq, recorded_ms, rows_hash, prev_hash, hash)
      VALUES (v_head.batch_no + 1, v_head.last_seq + 1, v_head.last_seq + v_ok, v_recorded_ms, v_rows_hash,
              v_head.hash, v_hash);
    UPDATE ledger.head SET batch_no = v_head.batch_no + 1, last_seq = v_head.last_seq + v_ok, hash = v_hash;
  END IF;

  RETURN QUERY SELECT u.n, u.status, u.account
                 FROM unnest(r_status, r_account) WITH ORDINALITY AS u (status, account, n) ORDER BY u.n;
END $$;
REVOKE ALL ON FUNCTION ledger.apply_batch FROM PUBLIC;
