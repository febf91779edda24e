-- The only writer of the ledger: one call applies a batch, with the meaning of applying its commands one after another.
-- It runs inside the caller's transaction and returns one row per command that did not simply apply (status not `ok`, or an
-- amount that a balancing transfer was capped to).
--
-- Every call first locks the head and so waits for the one before to commit: one lock, hence no deadlock; batches have one
-- order, seq is gap-free and in commit order, and what was committed before is seen. Nothing is lost by it: two batches of
-- some hundred transfers nearly always share an account anyway. In a longer transaction call it last, because all other
-- writers wait from here to its commit.
--
-- p_account lists the accounts of the batch, each once (an id below 1: not open); p_debit, p_credit are positions in it.
-- post, pending: debit, credit, amount; timeout_ms (pending), balancing. post-pending: pending, amount, asset.
-- void-pending, expire-pending: pending. close-account, reopen-account: debit and credit are the account.
-- A column that no command uses may be null as a whole.
--
-- A caller that remembers ids of accounts gives the newest account it knows of and its hash. Because each account's hash binds
-- all before it, one comparison shows that all ids mean what the caller thinks, also after a failover that lost commits.
CREATE FUNCTION ledger.apply_batch_at(
  p_now_ms bigint, p_register bigint, p_register_hash bytea, p_account bigint[], p_id uuid[], p_kind ledger.transfer_kind[], p_debit int[], p_credit int[],
  p_amount numeric[], p_asset text[], p_pending uuid[], p_linked boolean[], p_code ledger.transfer_code[],
  p_reference text[], p_at_ms bigint[], p_timeout_ms bigint[], p_balancing ledger.side[]
) RETURNS TABLE (n int, status text, account text, amount numeric)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  c_count CONSTANT int := coalesce(cardinality(p_id), 0);
  c_too_large CONSTANT numeric := 10::numeric ^ 78;
  v_head ledger.head%ROWTYPE;
  v_recorded_ms bigint;
  v_simple boolean;
  -- arrays of accounts have the positions of p_account; a_ as they were, n_ as they become (or, in the usual case, by how much)
  a_id bigint[]; a_path text[]; a_asset integer[]; a_asset_id text[]; a_floor text[]; a_closed boolean[]; a_last_seq bigint[];
  n_debits_pending numeric[]; n_debits_posted numeric[]; n_credits_pending numeric[]; n_credits_posted numeric[];
  n_last_seq bigint[];
  -- arrays of commands: the first command with the same id, the slot of its pending transfer
  v_first int[]; v_slot int[];
  v_prior int[];   -- in the journal before: 1 same content, 2 other content
  v_applied int[]; -- by first: the command of this batch that applied the id
  -- per slot: 0 unknown, 1 pending, 2 posted or voided, 3 expired
  s_state int[]; s_debit int[]; s_credit int[]; s_amount numeric[]; s_expires_ms bigint[];
  -- what each command did
  r_status text[]; r_account int[]; r_amount numeric[]; r_capped numeric[]; r_debit int[]; r_credit int[];
  r_pending numeric[]; r_posted numeric[]; -- change of both accounts' pending and posted sums
  r_debit_before bigint[]; r_credit_before bigint[]; -- null: the account's last_seq before the batch
  v_kind ledger.transfer_kind; v_is_linked boolean; v_chain_start int := 0; v_chain_failed boolean := false;
  v_status text; v_account int; v_amount numeric; v_pending_change numeric; v_posted_change numeric; v_seq bigint;
  d int; k int; s int; e int; v_ok int := 0; v_holds int := 0; v_resolutions int := 0; v_updated int; v_assets int;
  r record;
  v_rows_hash bytea; v_hash bytea; v_new_ids bigint;
BEGIN
  IF c_count < 1 OR c_count > 8000 THEN
    RAISE EXCEPTION 'ledger.apply_batch: % commands, allowed are 1 to 8000', c_count USING ERRCODE = 'LG003';
  END IF;
  -- A column of another length, or one that does not begin at 1, would move its values to other commands.
  IF '[1:' || c_count || ']' <> ANY (array_remove(ARRAY[
       array_dims(p_id), array_dims(p_kind), array_dims(p_debit), array_dims(p_credit), array_dims(p_amount),
       array_dims(p_asset), array_dims(p_pending), array_dims(p_linked), array_dims(p_code), array_dims(p_reference),
       array_dims(p_at_ms), array_dims(p_timeout_ms), array_dims(p_balancing)], NULL))
     OR array_dims(p_account) <> '[1:' || cardinality(p_account) || ']' THEN
    RAISE EXCEPTION 'ledger.apply_batch: % ids, but a column of another shape', c_count USING ERRCODE = 'LG003';
  END IF;
  -- Two cheap tests: one expression with a bounded repetition takes 40 us each.
  IF p_reference IS NULL OR EXISTS (
       SELECT FROM unnest(p_reference) AS reference
        WHERE reference IS NULL OR octet_length(reference) NOT BETWEEN 1 AND 128 OR reference ~ '[^!-~]') THEN
    RAISE EXCEPTION 'ledger.apply_batch: a reference is not 1 to 128 printable ASCII characters' USING ERRCODE = 'LG003';
  END IF;
  SELECT * INTO STRICT v_head FROM ledger.head FOR NO KEY UPDATE;
  -- Whoever adds a partition locks transfer_rest against this. Without it a row that was already on its way there, because its
  -- partition was not yet to be seen, would be refused when the partition is.
  LOCK TABLE ledger.transfer_rest IN ROW EXCLUSIVE MODE;
  IF p_register > 0 AND NOT EXISTS (SELECT FROM ledger.account AS a WHERE a.id = p_register AND a.hash = p_register_hash) THEN
    RAISE EXCEPTION 'ledger.apply_batch: account % is not the one the caller knows', p_register USING ERRCODE = 'LG010';
  END IF;
  v_recorded_ms := greatest(p_now_ms, v_head.recorded_ms);

  -- 1. Is it the usual case: only new posts and holds?
  SELECT count(DISTINCT u.id) = c_count
         AND bool_and(coalesce(u.kind IN ('post', 'pending') AND u.code <> 'adjustment' AND u.amount > 0
                               AND scale(u.amount) = 0 AND u.debit <> u.credit
                               AND u.debit BETWEEN 1 AND cardinality(p_account) AND u.credit BETWEEN 1 AND cardinality(p_account)
                               AND u.pending IS NULL AND u.balancing IS NULL
                               AND (u.timeout_ms IS NULL OR (u.kind = 'pending' AND u.timeout_ms > 0)), false))
         AND NOT coalesce(p_linked[c_count], false)
         AND NOT EXISTS (SELECT FROM ledger.transfer_id AS i WHERE i.id = ANY (p_id))
    INTO v_simple
    FROM unnest(p_id, p_kind, p_code, p_debit, p_credit, p_amount, p_pending, p_timeout_ms, p_balancing)
         AS u (id, kind, code, debit, credit, amount, pending, timeout_ms, balancing);

  -- 2. Then net it and add the sums to the balances, at once and on a condition: that each account is open and can bear all
  -- that leaves it without counting what it gets. Where that holds, no command could have been refused in any order; where it
  -- does not, the addition is undone and the commands are decided one by one.
  IF v_simple THEN
    a_id := p_account;
    n_debits_pending := array_fill(0::numeric, ARRAY[cardinality(a_id)]);
    n_debits_posted := n_debits_pending;
    n_credits_pending := n_debits_pending;
    n_credits_posted := n_debits_pending;
    n_last_seq := array_fill(NULL::bigint, ARRAY[cardinality(a_id)]);
    r_debit_before := array_fill(NULL::bigint, ARRAY[c_count]);
    r_credit_before := r_debit_before;
    v_seq := v_head.last_seq;
    FOR n IN 1..c_count LOOP
      d := p_debit[n];
      k := p_credit[n];
      IF p_kind[n] = 'post' THEN
        n_debits_posted[d] := n_debits_posted[d] + p_amount[n];
        n_credits_posted[k] := n_credits_posted[k] + p_amount[n];
      ELSE
        n_debits_pending[d] := n_debits_pending[d] + p_amount[n];
        n_credits_pending[k] := n_credits_pending[k] + p_amount[n];
        v_holds := v_holds + 1;
      END IF;
      v_seq := v_seq + 1;
      r_debit_before[n] := n_last_seq[d];
      r_credit_before[n] := n_last_seq[k];
      n_last_seq[d] := v_seq;
      n_last_seq[k] := v_seq;
    END LOOP;
    BEGIN
      WITH done AS (
        UPDATE ledger.balance AS b
           SET debits_pending = b.debits_pending + u.debits_pending, debits_posted = b.debits_posted + u.debits_posted,
               credits_pending = b.credits_pending + u.credits_pending, credits_posted = b.credits_posted + u.credits_posted,
               last_seq = u.last_seq
          FROM unnest(a_id, n_debits_pending, n_debits_posted, n_credits_pending, n_credits_posted, n_last_seq)
               WITH ORDINALITY AS u (account, debits_pending, debits_posted, credits_pending, credits_posted, last_seq, i)
         WHERE b.account = u.account AND NOT b.closed AND u.last_seq IS NOT NULL
           AND CASE b.floor
                 WHEN 'h' THEN b.debits_posted + u.debits_posted + b.debits_pending + u.debits_pending <= b.credits_posted
                 WHEN 'p' THEN b.credits_posted + u.credits_posted <= b.debits_posted ELSE true END
        RETURNING u.i, OLD.last_seq, b.asset_no
      )
      SELECT count(*), count(DISTINCT asset_no), array_agg(last_seq ORDER BY i), array_agg(asset_no ORDER BY i)
        INTO v_updated, v_assets, a_last_seq, a_asset FROM done;
      IF v_updated <> cardinality(a_id)
         OR (v_assets > 1 AND EXISTS (SELECT FROM unnest(p_debit, p_credit) AS u (debit, credit)
                                       WHERE a_asset[u.debit] <> a_asset[u.credit])) THEN
        RAISE EXCEPTION 'not simple' USING ERRCODE = 'LG009';
      END IF;
      r_debit := p_debit;
      r_credit := p_credit;
      r_amount := p_amount;
      v_ok := c_count;
    -- LG002: the zero-sum trigger, when only some of the accounts could bear their share.
    EXCEPTION WHEN SQLSTATE 'LG009' OR SQLSTATE 'LG002' OR numeric_value_out_of_range THEN
      v_simple := false;
      v_holds := 0;
    END;
  END IF;

  -- 3. Everything else is decided one after another, over arrays.
  IF NOT v_simple THEN
    a_id := p_account;
    IF p_pending IS NOT NULL THEN
      a_id := a_id || ARRAY(SELECT p.debit_account FROM ledger.pending AS p WHERE p.id = ANY (p_pending)
                            UNION SELECT p.credit_account FROM ledger.pending AS p WHERE p.id = ANY (p_pending)
                            EXCEPT SELECT unnest(p_account));
    END IF;
    IF (SELECT count(DISTINCT u) <> count(u) FROM unnest(a_id) AS u) THEN
      RAISE EXCEPTION 'ledger.apply_batch: an account is listed twice' USING ERRCODE = 'LG003';
    END IF;
    SELECT array_agg(a.path ORDER BY u.i), array_agg(a.asset ORDER BY u.i), array_agg(b.asset_no ORDER BY u.i),
           array_agg(b.floor::text ORDER BY u.i), array_agg(b.closed ORDER BY u.i), array_agg(b.last_seq ORDER BY u.i),
           array_agg(b.debits_pending ORDER BY u.i), array_agg(b.debits_posted ORDER BY u.i),
           array_agg(b.credits_pending ORDER BY u.i), array_agg(b.credits_posted ORDER BY u.i)
      INTO a_path, a_asset_id, a_asset, a_floor, a_closed, a_last_seq,
           n_debits_pending, n_debits_posted, n_credits_pending, n_credits_posted
      FROM unnest(a_id) WITH ORDINALITY AS u (id, i)
      LEFT JOIN ledger.account AS a ON a.id = u.id
      LEFT JOIN ledger.balance AS b ON b.account = u.id;
    v_prior := array_fill(0, ARRAY[c_count]);
    v_applied := v_prior;
    s_state := v_prior;
    r_status := array_fill(NULL::text, ARRAY[c_count]);
    r_account := array_fill(NULL::int, ARRAY[c_count]);
    r_debit := r_account;
    r_credit := r_account;
    s_debit := r_account;
    s_credit := r_account;
    r_amount := array_fill(NULL::numeric, ARRAY[c_count]);
    r_capped := r_amount;
    r_pending := r_amount;
    r_posted := r_amount;
    s_amount := r_amount;
    s_expires_ms := array_fill(NULL::bigint, ARRAY[c_count]);

    SELECT array_agg(c.first ORDER BY c.n), array_agg(c.slot ORDER BY c.n)
      INTO v_first, v_slot
      FROM (SELECT u.n, min(u.n) OVER (PARTITION BY u.id)::int AS first,
                   (dense_rank() OVER (ORDER BY coalesce(u.pending, u.id)))::int AS slot
              FROM unnest(p_id, p_pending) WITH ORDINALITY AS u (id, pending, n)) AS c;
    -- Only then the journal: a query that may look into any partition locks all of them (25 ms with 500).
    IF EXISTS (SELECT FROM ledger.transfer_id AS i WHERE i.id = ANY (p_id)) THEN
      FOR r IN
        SELECT c.n, CASE WHEN c.balancing IS NOT NULL THEN t.amount END AS capped,
               t.kind = c.kind AND t.code = c.code AND t.reference = c.reference
                 AND t.pending_id IS NOT DISTINCT FROM c.pending AND t.timeout_ms IS NOT DISTINCT FROM c.timeout_ms
                 AND t.balancing IS NOT DISTINCT FROM c.balancing
                 AND (c.kind NOT IN ('post', 'pending', 'post-pending') OR coalesce(t.amount_max, t.amount) = c.amount)
                 AND (c.kind <> 'post-pending' OR (SELECT x.asset FROM ledger.account AS x WHERE x.id = t.debit_account) = c.asset)
                 AND (c.pending IS NOT NULL OR (a_id[c.debit] = t.debit_account AND a_id[c.credit] = t.credit_account)) AS same
          FROM unnest(p_id, p_kind, p_debit, p_credit, p_amount, p_asset, p_pending, p_code, p_reference, p_timeout_ms, p_balancing)
               WITH ORDINALITY AS c (id, kind, debit, credit, amount, asset, pending, code, reference, timeout_ms, balancing, n)
          JOIN ledger.transfer_id AS i ON i.id = c.id
          JOIN ledger.transfer AS t ON t.seq = i.seq
      LOOP
        v_prior[r.n] := CASE WHEN r.same THEN 1 ELSE 2 END;
        r_capped[r.n] := r.capped;
      END LOOP;
    END IF;
    FOR r IN
      SELECT DISTINCT u.slot, p.state, p.amount, p.expires_ms, x.i::int AS debit, y.i::int AS credit
        FROM unnest(p_pending, v_slot) AS u (id, slot)
        JOIN ledger.pending AS p ON p.id = u.id
        JOIN unnest(a_id) WITH ORDINALITY AS x (id, i) ON x.id = p.debit_account
        JOIN unnest(a_id) WITH ORDINALITY AS y (id, i) ON y.id = p.credit_account
    LOOP
      s_state[r.slot] := CASE r.state WHEN 'pending' THEN 1 WHEN 'expired' THEN 3 ELSE 2 END;
      s_debit[r.slot] := r.debit;
      s_credit[r.slot] := r.credit;
      s_amount[r.slot] := r.amount;
      s_expires_ms[r.slot] := r.expires_ms;
    END LOOP;

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
                          AND p_pending[n] IS NOT DISTINCT FROM p_pending[e]
                          AND p_timeout_ms[n] IS NOT DISTINCT FROM p_timeout_ms[e]
                          AND p_balancing[n] IS NOT DISTINCT FROM p_balancing[e]
                          AND p_debit[n] IS NOT DISTINCT FROM p_debit[e] AND p_credit[n] IS NOT DISTINCT FROM p_credit[e]
                          AND p_asset[n] IS NOT DISTINCT FROM p_asset[e]
                          AND p_amount[n] IS NOT DISTINCT FROM p_amount[e] THEN 'exists' ELSE 'conflict' END;
        r_capped[n] := r_capped[e];
      ELSIF (p_balancing[n] IS NOT NULL AND v_kind NOT IN ('post', 'pending'))
            OR (p_timeout_ms[n] IS NOT NULL AND (v_kind <> 'pending' OR p_timeout_ms[n] <= 0)) THEN
        v_status := 'invalid';
      -- What was approved is one post of one amount.
      ELSIF p_code[n] = 'adjustment' AND (v_kind <> 'post' OR p_balancing[n] IS NOT NULL) THEN
        v_status := 'not-approved';
      ELSE
        v_status := 'ok';
        s := v_slot[n];
        v_amount := p_amount[n];
        IF v_kind IN ('post', 'pending', 'close-account', 'reopen-account') THEN
          d := p_debit[n];
          k := p_credit[n];
          v_pending_change := 0;
          v_posted_change := 0;
          -- A null position or an id that is no account has no path.
          IF p_pending[n] IS NOT NULL OR (d = k) <> (v_kind IN ('close-account', 'reopen-account'))
             OR (v_kind IN ('post', 'pending') AND coalesce(v_amount <= 0 OR scale(v_amount) <> 0, true)) THEN
            v_status := 'invalid';
          ELSIF d IS NULL OR a_path[d] IS NULL OR k IS NULL OR a_path[k] IS NULL THEN
            v_status := 'unknown-account';
          ELSIF v_kind = 'close-account' OR v_kind = 'reopen-account' THEN
            v_amount := 0;
            IF a_closed[d] = (v_kind = 'close-account') THEN
              v_status := CASE v_kind WHEN 'close-account' THEN 'closed' ELSE 'not-closed' END;
            ELSIF n_debits_posted[d] <> n_credits_posted[d] OR n_debits_pending[d] <> 0 OR n_credits_pending[d] <> 0 THEN
              v_status := 'not-empty';
            END IF;
            v_account := CASE WHEN v_status = 'ok' THEN NULL ELSE d END;
          ELSIF a_asset[d] <> a_asset[k] THEN
            v_status := 'invalid';
          ELSIF a_closed[d] OR a_closed[k] THEN
            v_status := 'closed';
            v_account := CASE WHEN a_closed[d] THEN d ELSE k END;
          ELSIF p_code[n] = 'adjustment'
                AND NOT ledger.adjustment_is_approved(p_id[n], v_kind, a_path[d], a_path[k], a_asset_id[d], v_amount,
                                                      p_reference[n]) THEN
            v_status := 'not-approved';
          ELSIF p_balancing[n] IS NOT NULL AND v_amount >= c_too_large THEN -- the journal keeps what was asked for, too
            v_status := 'overflow';
          ELSE
            IF p_balancing[n] = 'debit' AND a_floor[d] = 'h' THEN
              v_amount := least(v_amount, n_credits_posted[d] - n_debits_posted[d] - n_debits_pending[d]);
            ELSIF p_balancing[n] = 'credit' AND a_floor[k] = 'p' THEN
              v_amount := least(v_amount, n_debits_posted[k] - n_credits_posted[k] - n_credits_pending[k]);
            END IF;
            IF v_amount <= 0 THEN
              v_status := 'insufficient';
              v_account := CASE p_balancing[n] WHEN 'debit' THEN d ELSE k END;
            ELSIF v_kind = 'post' THEN
              v_posted_change := v_amount;
            ELSE
              v_pending_change := v_amount;
            END IF;
          END IF;
        ELSIF p_pending[n] IS NULL THEN
          v_status := 'invalid';
        ELSIF s_state[s] = 0 THEN
          v_status := 'pending-not-found';
        ELSIF s_state[s] = 2 THEN
          v_status := 'pending-resolved';
        ELSIF s_state[s] = 3 OR (v_kind <> 'expire-pending' AND s_expires_ms[s] <= v_recorded_ms) THEN
          v_status := 'pending-expired';
        ELSE
          d := s_debit[s];
          k := s_credit[s];
          v_pending_change := -s_amount[s];
          v_posted_change := 0;
          IF v_kind = 'post-pending' THEN
            v_posted_change := v_amount;
            IF coalesce(v_amount <= 0 OR scale(v_amount) <> 0, true) OR p_asset[n] IS DISTINCT FROM a_asset_id[d] THEN
              v_status := 'invalid';
            ELSIF v_amount > s_amount[s] THEN
              v_status := 'amount-exceeds-pending';
            END IF;
          ELSE
            v_amount := s_amount[s];
            IF v_kind = 'expire-pending' AND coalesce(s_expires_ms[s] > v_recorded_ms, true) THEN
              v_status := 'pending-not-due';
            END IF;
          END IF;
        END IF;

        IF v_status = 'ok' THEN
          IF a_floor[d] = 'h' AND n_debits_posted[d] + v_posted_change + n_debits_pending[d] + v_pending_change
                                     > n_credits_posted[d] THEN
            v_status := 'insufficient';
            v_account := d;
          ELSIF a_floor[k] = 'p' AND v_posted_change > 0
                AND n_credits_posted[k] + v_posted_change > n_debits_posted[k] THEN
            v_status := 'insufficient';
            v_account := k;
          ELSIF greatest(n_debits_posted[d] + v_posted_change, n_credits_posted[k] + v_posted_change,
                         n_debits_pending[d] + v_pending_change, n_credits_pending[k] + v_pending_change) >= c_too_large THEN
            v_status := 'overflow';
            v_account := CASE WHEN greatest(n_debits_posted[d] + v_posted_change,
                                            n_debits_pending[d] + v_pending_change) >= c_too_large THEN d ELSE k END;
          ELSE
            n_debits_posted[d] := n_debits_posted[d] + v_posted_change;
            n_credits_posted[k] := n_credits_posted[k] + v_posted_change;
            n_debits_pending[d] := n_debits_pending[d] + v_pending_change;
            n_credits_pending[k] := n_credits_pending[k] + v_pending_change;
            IF v_kind = 'pending' THEN
              s_state[s] := 1;
              s_debit[s] := d;
              s_credit[s] := k;
              s_amount[s] := v_amount;
              s_expires_ms[s] := v_recorded_ms + p_timeout_ms[n];
              v_holds := v_holds + 1;
            ELSIF v_kind = 'close-account' OR v_kind = 'reopen-account' THEN
              a_closed[d] := v_kind = 'close-account';
            ELSIF v_kind <> 'post' THEN
              s_state[s] := CASE v_kind WHEN 'expire-pending' THEN 3 ELSE 2 END;
              v_resolutions := v_resolutions + 1;
            END IF;
            IF p_balancing[n] IS NOT NULL THEN
              r_capped[n] := v_amount;
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
            n_debits_posted[d] := n_debits_posted[d] - r_posted[j];
            n_credits_posted[k] := n_credits_posted[k] - r_posted[j];
            n_debits_pending[d] := n_debits_pending[d] - r_pending[j];
            n_credits_pending[k] := n_credits_pending[k] - r_pending[j];
            IF p_kind[j] = 'pending' THEN
              s_state[v_slot[j]] := 0;
            ELSIF p_kind[j] = 'close-account' OR p_kind[j] = 'reopen-account' THEN
              a_closed[d] := p_kind[j] = 'reopen-account';
            ELSIF p_kind[j] <> 'post' THEN
              s_state[v_slot[j]] := 1;
            END IF;
            v_applied[v_first[j]] := 0;
            v_ok := v_ok - 1;
          END IF;
          r_status[j] := 'linked-failed';
          r_account[j] := NULL;
          r_capped[j] := NULL;
        END LOOP;
      END IF;
      IF NOT v_is_linked THEN
        v_chain_start := 0;
      END IF;
    END LOOP;
  END IF;

  -- 4. Write. The CHECKs and the zero-sum trigger judge the balances again.
  IF v_ok > 0 THEN
    IF NOT v_simple THEN
      n_last_seq := array_fill(NULL::bigint, ARRAY[cardinality(a_id)]);
      r_debit_before := array_fill(NULL::bigint, ARRAY[c_count]);
      r_credit_before := r_debit_before;
      v_seq := v_head.last_seq;
      FOR n IN 1..c_count LOOP
        IF r_status[n] = 'ok' THEN
          v_seq := v_seq + 1;
          r_debit_before[n] := n_last_seq[r_debit[n]];
          r_credit_before[n] := n_last_seq[r_credit[n]];
          n_last_seq[r_debit[n]] := v_seq;
          n_last_seq[r_credit[n]] := v_seq;
        END IF;
      END LOOP;
      UPDATE ledger.balance AS b
         SET debits_pending = u.debits_pending, debits_posted = u.debits_posted, credits_pending = u.credits_pending,
             credits_posted = u.credits_posted, closed = u.closed, last_seq = u.last_seq
        FROM unnest(a_id, n_debits_pending, n_debits_posted, n_credits_pending, n_credits_posted, a_closed, n_last_seq)
             AS u (account, debits_pending, debits_posted, credits_pending, credits_posted, closed, last_seq)
       WHERE b.account = u.account AND u.last_seq IS NOT NULL;
    END IF;
    WITH entry AS MATERIALIZED (
      SELECT v_head.last_seq + row_number() OVER (ORDER BY u.n) AS seq, u.id, u.kind, a_id[u.debit] AS debit,
             a_id[u.credit] AS credit, u.amount, u.pending, u.code, u.reference, u.at_ms, u.timeout_ms, u.balancing,
             CASE WHEN u.balancing IS NOT NULL THEN u.asked END AS amount_max,
             coalesce(u.debit_before, a_last_seq[u.debit]) AS debit_before,
             coalesce(u.credit_before, a_last_seq[u.credit]) AS credit_before
        FROM unnest(p_id, p_kind, r_debit, r_credit, r_amount, p_pending, p_code, p_reference, p_at_ms, p_timeout_ms,
                    p_balancing, p_amount, r_debit_before, r_credit_before, r_status)
             WITH ORDINALITY AS u (id, kind, debit, credit, amount, pending, code, reference, at_ms, timeout_ms, balancing,
                                   asked, debit_before, credit_before, status, n)
       WHERE v_simple OR u.status = 'ok'
    ), journal AS (
      INSERT INTO ledger.transfer (seq, id, kind, debit_account, credit_account, amount, pending_id, code, reference, at_ms,
                                   timeout_ms, balancing, amount_max, debit_before, credit_before)
        SELECT seq, id, kind, debit, credit, amount, pending, code, reference, at_ms, timeout_ms, balancing, amount_max,
               debit_before, credit_before FROM entry
    ), ids AS (
      INSERT INTO ledger.transfer_id (id, seq) SELECT id, seq FROM entry
    )
    SELECT sha256(convert_to(string_agg(ledger.transfer_line(seq, id, kind, debit, credit, debit_before, credit_before, amount,
             pending, code, at_ms, timeout_ms, balancing, amount_max, reference), E'\n' ORDER BY seq), 'UTF8'))
      INTO v_rows_hash FROM entry;
    IF v_holds > 0 THEN
      INSERT INTO ledger.pending (id, debit_account, credit_account, amount, expires_ms)
        SELECT u.id, a_id[u.debit], a_id[u.credit], u.amount, v_recorded_ms + u.timeout_ms
          FROM unnest(p_id, p_kind, r_status, r_debit, r_credit, r_amount, p_timeout_ms)
               AS u (id, kind, status, debit, credit, amount, timeout_ms)
         WHERE u.kind = 'pending' AND (v_simple OR u.status = 'ok');
    END IF;
    IF v_resolutions > 0 THEN
      UPDATE ledger.pending AS p
         SET state = CASE u.kind WHEN 'post-pending' THEN 'posted' WHEN 'void-pending' THEN 'voided' ELSE 'expired' END,
             resolved_by = u.id
        FROM unnest(p_id, p_kind, r_status, p_pending) AS u (id, kind, status, pending)
       WHERE u.status = 'ok' AND u.pending IS NOT NULL AND p.id = u.pending AND p.state = 'pending';
    END IF;

    v_hash := ledger.batch_hash(v_head.hash, v_head.batch_no + 1, v_head.last_seq + 1, v_head.last_seq + v_ok,
                                v_recorded_ms, v_head.accounts, v_head.accounts_hash, v_rows_hash);
    INSERT INTO ledger.batch (no, first_seq, last_seq, recorded_ms, accounts, rows_hash, prev_hash, hash)
      VALUES (v_head.batch_no + 1, v_head.last_seq + 1, v_head.last_seq + v_ok, v_recorded_ms, v_head.accounts, v_rows_hash,
              v_head.hash, v_hash);
    UPDATE ledger.head SET batch_no = v_head.batch_no + 1, last_seq = v_head.last_seq + v_ok,
                           recorded_ms = v_recorded_ms, hash = v_hash;
  END IF;

  IF NOT v_simple THEN
    RETURN QUERY SELECT u.n::int, u.status, a_path[u.account], CASE WHEN u.status IN ('ok', 'exists') THEN u.capped END
                   FROM unnest(r_status, r_account, r_capped) WITH ORDINALITY AS u (status, account, capped, n)
                  WHERE u.status <> 'ok' OR u.capped IS NOT NULL ORDER BY u.n;
  END IF;
END $$;

-- Opens what is not open yet, in the given order; the register's chain goes on from the head.
CREATE FUNCTION ledger.open_accounts(p_path text[], p_asset text[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_head ledger.head%ROWTYPE; v_kind text; v_side text; v_floor text; v_id text; v_opened bigint := 0; r record;
BEGIN
  -- Callers open what may be open already; then nobody has to wait.
  IF NOT EXISTS (SELECT path, asset FROM unnest(p_path, p_asset) AS u (path, asset) EXCEPT SELECT path, asset FROM ledger.account
                  WHERE path = ANY (p_path)) THEN
    RETURN 0;
  END IF;
  SELECT * INTO STRICT v_head FROM ledger.head FOR NO KEY UPDATE;
  FOR r IN
    SELECT u.path, u.asset FROM unnest(p_path, p_asset) WITH ORDINALITY AS u (path, asset, n)
     WHERE NOT EXISTS (SELECT FROM ledger.account AS a WHERE a.path = u.path AND a.asset = u.asset)
     GROUP BY u.path, u.asset ORDER BY min(u.n)
  LOOP
    v_kind := ledger.kind_of(r.path);
    -- An account stays for ever, so one that no reader takes for an account must not be made: the id in its path is a UUID of
    -- version 7 or 8, its asset is named as CAIP-19 says. By parts: one expression with bounded repetitions costs 40 us each.
    v_id := substring(r.path FROM '_([0-9a-f-]+)');
    IF v_kind IS NULL
       OR (v_id IS NOT NULL AND (translate(v_id, '123456789abcdef', '000000000000000') <> '00000000-0000-0000-0000-000000000000'
                                 OR substr(v_id, 15, 1) NOT IN ('7', '8') OR substr(v_id, 20, 1) NOT IN ('8', '9', 'a', 'b')))
       OR (NOT EXISTS (SELECT FROM ledger.asset AS s WHERE s.id = r.asset)
           AND r.asset !~ '^([-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}/[-a-z0-9]{3,8}:[-.%a-zA-Z0-9]{1,128}|ledger:[a-z][a-z0-9-]{0,31})$') THEN
      RAISE EXCEPTION 'ledger.open_accounts: "%" of "%" is not the path of an account and an asset', r.path, r.asset
        USING ERRCODE = 'LG003';
    END IF;
    v_side := CASE WHEN v_kind LIKE 'chain-%' OR v_kind = 'house-network-fee' THEN 'debit' ELSE 'credit' END;
    v_floor := CASE WHEN v_side = 'debit' THEN 'posted' WHEN v_kind IN ('suspense', 'house-clearing') THEN 'none' ELSE 'held' END;
    INSERT INTO ledger.asset (id) VALUES (r.asset) ON CONFLICT DO NOTHING;
    v_head.accounts := v_head.accounts + 1;
    v_head.accounts_hash := ledger.account_hash(v_head.accounts_hash, v_head.accounts, r.path, r.asset);
    INSERT INTO ledger.account (id, path, asset, kind, side, floor, hash)
      VALUES (v_head.accounts, r.path, r.asset, v_kind, v_side, v_floor, v_head.accounts_hash);
    INSERT INTO ledger.balance (account, asset_no, floor)
      SELECT v_head.accounts, s.no, left(v_floor, 1)::"char" FROM ledger.asset AS s WHERE s.id = r.asset;
    v_opened := v_opened + 1;
  END LOOP;
  IF v_opened > 0 THEN
    UPDATE ledger.head SET accounts = v_head.accounts, accounts_hash = v_head.accounts_hash;
  END IF;
  RETURN v_opened;
END $$;

-- As apply_batch_at, by the server's clock. Only this one is granted: who chooses the time chooses which holds have expired.
CREATE FUNCTION ledger.apply_batch(
  p_register bigint, p_register_hash bytea, p_account bigint[], p_id uuid[], p_kind ledger.transfer_kind[], p_debit int[], p_credit int[], p_amount numeric[],
  p_asset text[], p_pending uuid[], p_linked boolean[], p_code ledger.transfer_code[], p_reference text[],
  p_at_ms bigint[], p_timeout_ms bigint[], p_balancing ledger.side[]
) RETURNS TABLE (n int, status text, account text, amount numeric)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT * FROM ledger.apply_batch_at(
    floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint, p_register, p_register_hash, p_account, p_id, p_kind, p_debit, p_credit, p_amount,
    p_asset, p_pending, p_linked, p_code, p_reference, p_at_ms, p_timeout_ms, p_balancing);
END $$;

-- One transfer by the paths of its accounts; returns its status. For people and small callers: a batch of one.
CREATE FUNCTION ledger.transfer_one(
  p_id uuid, p_kind ledger.transfer_kind, p_debit text, p_credit text, p_asset text, p_amount numeric,
  p_code ledger.transfer_code, p_reference text, p_pending uuid DEFAULT NULL, p_timeout_ms bigint DEFAULT NULL
) RETURNS text LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_accounts bigint[] := ARRAY(SELECT a.id FROM ledger.account AS a
                                WHERE a.path IN (p_debit, p_credit) AND a.asset = p_asset);
  v_status text;
BEGIN
  SELECT r.status INTO v_status FROM ledger.apply_batch(
    NULL, NULL, v_accounts, ARRAY[p_id], ARRAY[p_kind],
    ARRAY[array_position(v_accounts, (SELECT a.id FROM ledger.account AS a WHERE a.path = p_debit AND a.asset = p_asset))],
    ARRAY[array_position(v_accounts, (SELECT a.id FROM ledger.account AS a WHERE a.path = p_credit AND a.asset = p_asset))],
    ARRAY[p_amount], ARRAY[p_asset], CASE WHEN p_pending IS NOT NULL THEN ARRAY[p_pending] END, NULL, ARRAY[p_code],
    ARRAY[p_reference], NULL, CASE WHEN p_timeout_ms IS NOT NULL THEN ARRAY[p_timeout_ms] END, NULL) AS r;
  RETURN coalesce(v_status, 'ok');
END $$;
REVOKE ALL ON FUNCTION ledger.apply_batch_at, ledger.apply_batch, ledger.transfer_one, ledger.open_accounts FROM PUBLIC;
