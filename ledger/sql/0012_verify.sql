-- Proves the books from the journal alone. STABLE: every part of it sees the same snapshot, so it can run while others
-- write. One row per problem; none means that the books are true.

-- The hash chain of the batches from p_from to p_to: each batch is what its rows say and follows the one before. A line break
-- in a reference would let one row give the line of another too, and that one be anything whose line is NULL.
CREATE FUNCTION ledger.verify_batches(p_from bigint, p_to bigint) RETURNS TABLE ("check" text, place text, problem text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
    WITH content AS (
      SELECT b.no, count(t.seq) AS row_count, bool_or(t.reference LIKE E'%\n%') AS is_ambiguous,
             sha256(convert_to(string_agg(ledger.transfer_line(t.seq, t.id, t.kind, t.debit_account, t.credit_account,
               t.debit_before, t.credit_before, t.amount, t.pending_id, t.code, t.at_ms, t.timeout_ms, t.balancing,
               t.amount_max, t.reference), E'\n' ORDER BY t.seq), 'UTF8')) AS rows_hash
        FROM ledger.batch AS b
        LEFT JOIN ledger.transfer AS t ON t.seq BETWEEN b.first_seq AND b.last_seq
       WHERE b.no BETWEEN p_from AND p_to
       GROUP BY b.no
    )
    SELECT 'batch', 'batch ' || b.no,
           CASE WHEN c.row_count <> b.last_seq - b.first_seq + 1 THEN 'transfers are missing'
                WHEN c.is_ambiguous THEN 'a reference has a line break, so that one transfer reads as several'
                ELSE 'a transfer or the order of transfers was changed' END
      FROM ledger.batch AS b JOIN content AS c ON c.no = b.no
     WHERE c.row_count <> b.last_seq - b.first_seq + 1 OR c.is_ambiguous OR c.rows_hash IS DISTINCT FROM b.rows_hash;
  RETURN QUERY
    WITH link AS (
      SELECT b.*, lag(b.no, 1, 0::bigint) OVER w AS before_no, lag(b.last_seq, 1, 0::bigint) OVER w AS before_seq,
             lag(b.recorded_ms, 1, 0::bigint) OVER w AS before_ms,
             lag(b.hash, 1, sha256('strongroom/ledger/v1'::bytea)) OVER w AS before_hash,
             coalesce((SELECT a.hash FROM ledger.account AS a WHERE a.id = b.accounts),
                      sha256('strongroom/ledger/accounts/v1'::bytea)) AS accounts_hash
        FROM ledger.batch AS b WHERE b.no BETWEEN p_from - 1 AND p_to WINDOW w AS (ORDER BY b.no)
    )
    SELECT 'chain', 'batch ' || l.no,
           CASE WHEN l.before_no <> l.no - 1 THEN 'the batch before is missing'
                WHEN l.prev_hash <> l.before_hash THEN 'does not continue the batch before'
                WHEN l.before_seq <> l.first_seq - 1 THEN 'does not start where the batch before ended'
                WHEN l.recorded_ms < l.before_ms THEN 'is older than the batch before'
                ELSE 'its hash is not that of its content and of the accounts there were' END
      FROM link AS l
     WHERE l.no >= p_from
       AND (l.before_no <> l.no - 1 OR l.before_seq <> l.first_seq - 1 OR l.prev_hash <> l.before_hash
            OR l.recorded_ms < l.before_ms
            OR l.hash <> ledger.batch_hash(l.prev_hash, l.no, l.first_seq, l.last_seq, l.recorded_ms, l.accounts,
                                           l.accounts_hash, l.rows_hash));
END $$;

-- What can be checked without reading the journal: sums per asset, the floors of accounts, and that the head is the newest batch
-- and account.
CREATE FUNCTION ledger.verify_totals() RETURNS TABLE ("check" text, place text, problem text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
    SELECT 'zero-sum', coalesce(s.id, 'asset ' || b.asset_no), 'debits and credits differ'
      FROM ledger.balance AS b LEFT JOIN ledger.asset AS s ON s.no = b.asset_no
     GROUP BY b.asset_no, s.id
    HAVING sum(debits_posted) <> sum(credits_posted) OR sum(debits_pending) <> sum(credits_pending);
  -- A CHECK says the same, to whoever cannot drop it.
  RETURN QUERY
    SELECT 'balance', coalesce(a.path || ' ' || a.asset, 'account ' || b.account), 'is overdrawn, or closed and not empty'
      FROM ledger.balance AS b LEFT JOIN ledger.account AS a ON a.id = b.account
     WHERE CASE b.floor WHEN 'h' THEN b.debits_posted + b.debits_pending > b.credits_posted
                        WHEN 'p' THEN b.credits_posted > b.debits_posted ELSE false END
        OR least(b.debits_pending, b.debits_posted, b.credits_pending, b.credits_posted) < 0
        OR (b.closed AND (b.debits_posted <> b.credits_posted OR b.debits_pending + b.credits_pending <> 0));
  RETURN QUERY
    SELECT 'chain', 'head', 'is not the newest batch and the newest account'
      FROM (SELECT count(*) AS heads FROM ledger.head) AS number_of
      LEFT JOIN ledger.head AS h ON true
      LEFT JOIN LATERAL (SELECT b.no, b.last_seq, b.recorded_ms, b.hash FROM ledger.batch AS b ORDER BY b.no DESC LIMIT 1) AS newest ON true
      LEFT JOIN LATERAL (SELECT a.id, a.hash FROM ledger.account AS a ORDER BY a.id DESC LIMIT 1) AS last ON true
     WHERE heads <> 1
        OR (h.batch_no, h.last_seq, h.recorded_ms, h.hash, h.accounts, h.accounts_hash) IS DISTINCT FROM
           (coalesce(newest.no, 0), coalesce(newest.last_seq, 0), coalesce(newest.recorded_ms, 0), coalesce(newest.hash, sha256('strongroom/ledger/v1'::bytea)),
            coalesce(last.id, 0), coalesce(last.hash, sha256('strongroom/ledger/accounts/v1'::bytea)));
END $$;

CREATE FUNCTION ledger.verify() RETURNS TABLE ("check" text, place text, problem text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
  -- Balances are the replay of the journal.
  RETURN QUERY
    WITH leg AS (
      SELECT debit_account AS account, seq, kind, amount, pending_id, true AS is_debit FROM ledger.transfer
      UNION ALL
      SELECT credit_account, seq, kind, amount, pending_id, false FROM ledger.transfer
    ), replay AS (
      SELECT leg.account, max(leg.seq) AS last_seq,
             coalesce(sum(leg.amount) FILTER (WHERE is_debit AND leg.kind IN ('post', 'post-pending')), 0) AS debits_posted,
             coalesce(sum(leg.amount) FILTER (WHERE NOT is_debit AND leg.kind IN ('post', 'post-pending')), 0) AS credits_posted,
             coalesce(sum(leg.amount) FILTER (WHERE is_debit AND leg.kind = 'pending'), 0)
               - coalesce(sum(hold.amount) FILTER (WHERE is_debit), 0) AS debits_pending,
             coalesce(sum(leg.amount) FILTER (WHERE NOT is_debit AND leg.kind = 'pending'), 0)
               - coalesce(sum(hold.amount) FILTER (WHERE NOT is_debit), 0) AS credits_pending,
             coalesce(max(leg.seq) FILTER (WHERE leg.kind = 'close-account'), 0)
               > coalesce(max(leg.seq) FILTER (WHERE leg.kind = 'reopen-account'), 0) AS closed
        FROM leg
        LEFT JOIN (SELECT i.id, t.amount FROM ledger.transfer_id AS i
                     JOIN ledger.transfer AS t ON t.seq = i.seq AND t.kind = 'pending') AS hold ON hold.id = leg.pending_id
       GROUP BY leg.account
    )
    SELECT 'balance', coalesce(a.path || ' ' || a.asset, 'account ' || coalesce(b.account, r.account)),
           CASE WHEN b.account IS NULL THEN 'the journal names an account that does not exist'
                ELSE 'stored and replayed balances differ' END
      FROM ledger.balance AS b FULL JOIN replay AS r ON r.account = b.account
      LEFT JOIN ledger.account AS a ON a.id = coalesce(b.account, r.account)
     WHERE b.account IS NULL
        OR (b.debits_pending, b.debits_posted, b.credits_pending, b.credits_posted, b.last_seq, b.closed) IS DISTINCT FROM
           (coalesce(r.debits_pending, 0), coalesce(r.debits_posted, 0), coalesce(r.credits_pending, 0),
            coalesce(r.credits_posted, 0), coalesce(r.last_seq, 0), coalesce(r.closed, false));

  -- The register is its chain, and each account has the balance row and the rules that follow from its path.
  RETURN QUERY
    SELECT 'register', 'account ' || a.id,
           CASE WHEN a.before_id <> a.id - 1 THEN 'the account before is missing'
                ELSE 'its name was changed, or that of an account before' END
      FROM (SELECT x.*, lag(x.id, 1, 0::bigint) OVER w AS before_id,
                   lag(x.hash, 1, sha256('strongroom/ledger/accounts/v1'::bytea)) OVER w AS before_hash
              FROM ledger.account AS x WINDOW w AS (ORDER BY x.id)) AS a
     WHERE a.before_id <> a.id - 1 OR a.hash <> ledger.account_hash(a.before_hash, a.id, a.path, a.asset);
  RETURN QUERY
    SELECT 'register', coalesce(a.path || ' ' || a.asset, 'account ' || b.account),
           CASE WHEN b.account IS NULL THEN 'has no balance'
                WHEN a.id IS NULL THEN 'a balance without an account'
                ELSE 'its side, floor or asset is not that of its path' END
      FROM ledger.account AS a FULL JOIN ledger.balance AS b ON b.account = a.id
      LEFT JOIN ledger.asset AS s ON s.no = b.asset_no
     WHERE a.id IS NULL OR b.account IS NULL OR s.id IS DISTINCT FROM a.asset
        OR a.kind IS DISTINCT FROM ledger.kind_of(a.path)
        OR a.side <> CASE WHEN a.kind LIKE 'chain-%' OR a.kind = 'house-network-fee' THEN 'debit' ELSE 'credit' END
        OR a.floor <> CASE WHEN a.side = 'debit' THEN 'posted' WHEN a.kind IN ('suspense', 'house-clearing') THEN 'none' ELSE 'held' END
        OR b.floor::text <> left(a.floor, 1);

  RETURN QUERY SELECT * FROM ledger.verify_totals();
  RETURN QUERY
    SELECT 'zero-sum', t.id::text, 'the two accounts of a transfer have different assets'
      FROM ledger.transfer AS t
      JOIN ledger.balance AS d ON d.account = t.debit_account
      JOIN ledger.balance AS c ON c.account = t.credit_account
     WHERE d.asset_no <> c.asset_no;

  RETURN QUERY SELECT * FROM ledger.verify_batches(1, (SELECT coalesce(max(b.no), 0) FROM ledger.batch AS b));
  RETURN QUERY
    SELECT 'journal', 'transfer ' || t.id, 'belongs to no batch'
      FROM ledger.transfer AS t
     WHERE NOT EXISTS (SELECT FROM (SELECT b.first_seq FROM ledger.batch AS b WHERE b.last_seq >= t.seq
                                     ORDER BY b.last_seq LIMIT 1) AS b WHERE b.first_seq <= t.seq);

  RETURN QUERY
    SELECT 'idempotency', concat_ws(' / ', t.id, i.id), 'the journal and the ids it remembers differ'
      FROM ledger.transfer AS t FULL JOIN ledger.transfer_id AS i ON i.seq = t.seq
     WHERE t.id IS DISTINCT FROM i.id;

  -- Each hold is as the journal made it and resolved at most once, by what the journal says, and expired not too early.
  RETURN QUERY
    SELECT 'pending', coalesce(p.id, t.id)::text, 'the hold is not as the journal says'
      FROM ledger.pending AS p
      FULL JOIN (
        SELECT made.id, made.debit_account, made.credit_account, made.amount, made.expires_ms, count(done.id) AS resolutions,
               min(done.id::text) AS resolved_by, min(done.kind::text) AS resolution,
               bool_and(done.debit_account = made.debit_account AND done.credit_account = made.credit_account
                        AND done.amount <= made.amount
                        AND (done.kind <> 'expire-pending' OR b.recorded_ms >= made.expires_ms)) AS resolved_within
          FROM (SELECT m.*, mb.recorded_ms + m.timeout_ms AS expires_ms
                  FROM ledger.transfer AS m
                  LEFT JOIN LATERAL (SELECT x.recorded_ms FROM ledger.batch AS x WHERE m.timeout_ms IS NOT NULL
                                        AND x.last_seq >= m.seq ORDER BY x.last_seq LIMIT 1) AS mb ON true
                 WHERE m.kind = 'pending') AS made
          LEFT JOIN ledger.transfer AS done ON done.pending_id = made.id
          LEFT JOIN LATERAL (SELECT x.recorded_ms FROM ledger.batch AS x WHERE done.kind = 'expire-pending'
                                AND x.last_seq >= done.seq ORDER BY x.last_seq LIMIT 1) AS b ON true
         GROUP BY made.id, made.debit_account, made.credit_account, made.amount, made.expires_ms) AS t ON t.id = p.id
     WHERE p.id IS NULL OR t.id IS NULL OR t.resolutions > 1 OR t.resolved_within = false
        OR (p.debit_account, p.credit_account, p.amount, p.expires_ms, p.resolved_by::text, p.state) IS DISTINCT FROM
           (t.debit_account, t.credit_account, t.amount, t.expires_ms, t.resolved_by,
            CASE t.resolution WHEN 'post-pending' THEN 'posted' WHEN 'void-pending' THEN 'voided'
                              WHEN 'expire-pending' THEN 'expired' ELSE 'pending' END);

  -- An adjustment was booked only as it was approved.
  RETURN QUERY
    SELECT 'adjustment', t.id::text, 'was booked without the approval of a second person, or not as approved'
      FROM ledger.transfer AS t
      JOIN ledger.account AS d ON d.id = t.debit_account
      JOIN ledger.account AS c ON c.id = t.credit_account
     WHERE t.code = 'adjustment'
       AND NOT (ledger.adjustment_is_approved(t.id, t.kind, d.path, c.path, d.asset, t.amount, t.reference)
                AND t.reference = (SELECT j.content FROM ledger.adjustment AS j WHERE j.id = t.id));
  -- Two people agreed to all of its legs, and a batch is all or nothing.
  RETURN QUERY
    SELECT 'adjustment', j.content, 'only a part of its legs was booked'
      FROM ledger.adjustment AS j LEFT JOIN ledger.transfer_id AS i ON i.id = j.id
     GROUP BY j.content HAVING count(i.id) NOT IN (0, count(*));
END $$;
REVOKE ALL ON FUNCTION ledger.verify, ledger.verify_batches, ledger.verify_totals FROM PUBLIC;
