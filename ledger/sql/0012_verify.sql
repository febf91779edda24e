-- Proves the books from the journal alone. STABLE: every part of it sees the same snapshot, so it can run while others
-- write. One row per problem; none means that the books are true.
CREATE FUNCTION ledger.verify() RETURNS TABLE ("check" text, place text, problem text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
  -- Balances are the replay of the journal.
  RETURN QUERY
    WITH leg AS (
      SELECT debit_account AS account, kind, amount, pending_id, true AS is_debit FROM ledger.transfer
      UNION ALL
      SELECT credit_account, kind, amount, pending_id, false FROM ledger.transfer
    ), replay AS (
      SELECT leg.account,
             coalesce(sum(leg.amount) FILTER (WHERE is_debit AND leg.kind IN ('post', 'post-pending')), 0) AS debits_posted,
             coalesce(sum(leg.amount) FILTER (WHERE NOT is_debit AND leg.kind IN ('post', 'post-pending')), 0) AS credits_posted,
             coalesce(sum(leg.amount) FILTER (WHERE is_debit AND leg.kind = 'pending'), 0)
               - coalesce(sum(hold.amount) FILTER (WHERE is_debit), 0) AS debits_pending,
             coalesce(sum(leg.amount) FILTER (WHERE NOT is_debit AND leg.kind = 'pending'), 0)
               - coalesce(sum(hold.amount) FILTER (WHERE NOT is_debit), 0) AS credits_pending
        FROM leg
        LEFT JOIN (SELECT i.id, t.amount FROM ledger.transfer_id AS i
                     JOIN ledger.transfer AS t ON t.seq = i.seq AND t.kind = 'pending') AS hold ON hold.id = leg.pending_id
       GROUP BY leg.account
    )
    SELECT 'balance', coalesce(a.path || ' ' || a.asset, 'account ' || r.account),
           CASE WHEN a.id IS NULL THEN 'the journal names an account that does not exist'
                ELSE 'stored and replayed balances differ' END
      FROM ledger.account AS a FULL JOIN replay AS r ON r.account = a.id
     WHERE a.id IS NULL
        OR (a.debits_pending, a.debits_posted, a.credits_pending, a.credits_posted) IS DISTINCT FROM
           (coalesce(r.debits_pending, 0), coalesce(r.debits_posted, 0), coalesce(r.credits_pending, 0), coalesce(r.credits_posted, 0));

  RETURN QUERY
    SELECT 'zero-sum', asset, 'debits and credits differ' FROM ledger.account
     GROUP BY asset
    HAVING sum(debits_posted) <> sum(credits_posted) OR sum(debits_pending) <> sum(credits_pending);
  RETURN QUERY
    SELECT 'zero-sum', t.id::text, 'the two accounts of a transfer have different assets'
      FROM ledger.transfer AS t
      JOIN ledger.account AS d ON d.id = t.debit_account
      JOIN ledger.account AS c ON c.id = t.credit_account
     WHERE d.asset <> c.asset;

  -- Each batch is what its rows say, and each follows the one before.
  RETURN QUERY
    WITH content AS (
      SELECT b.no, count(t.seq) AS row_count,
             sha256(convert_to(string_agg(ledger.transfer_line(t.seq, t.id, t.kind, d.path, c.path, d.asset, t.amount,
               t.pending_id, t.code, t.at_ms, t.reference), E'\n' ORDER BY t.seq), 'UTF8')) AS rows_hash
        FROM ledger.batch AS b
        LEFT JOIN ledger.transfer AS t ON t.seq BETWEEN b.first_seq AND b.last_seq
        LEFT JOIN ledger.account AS d ON d.id = t.debit_account
        LEFT JOIN ledger.account AS c ON c.id = t.credit_account
       GROUP BY b.no
    )
    SELECT 'batch', 'batch ' || b.no,
           CASE WHEN c.row_count <> b.last_seq - b.first_seq + 1 THEN 'transfers are missing'
                ELSE 'a transfer, its order or the name of its account was changed' END
      FROM ledger.batch AS b JOIN content AS c ON c.no = b.no
     WHERE c.row_count <> b.last_seq - b.first_seq + 1 OR c.rows_hash IS DISTINCT FROM b.rows_hash;
  RETURN QUERY
    WITH link AS (
      SELECT b.*, lag(b.no, 1, 0::bigint) OVER w AS before_no, lag(b.last_seq, 1, 0::bigint) OVER w AS before_seq,
             lag(b.hash, 1, sha256('strongroom/ledger/v1'::bytea)) OVER w AS before_hash
        FROM ledger.batch AS b WINDOW w AS (ORDER BY b.no)
    )
    SELECT 'chain', 'batch ' || l.no,
           CASE WHEN l.before_no <> l.no - 1 THEN 'the batch before is missing'
                WHEN l.prev_hash <> l.before_hash THEN 'does not continue the batch before'
                WHEN l.before_seq <> l.first_seq - 1 THEN 'does not start where the batch before ended'
                ELSE 'its hash is not that of its content' END
      FROM link AS l
     WHERE l.before_no <> l.no - 1 OR l.before_seq <> l.first_seq - 1 OR l.prev_hash <> l.before_hash
        OR l.hash <> ledger.batch_hash(l.prev_hash, l.no, l.first_seq, l.last_seq, l.recorded_ms, l.rows_hash);
  RETURN QUERY
    SELECT 'chain', 'head', 'is not the newest batch'
      FROM (SELECT count(*) AS heads FROM ledger.head) AS number_of
      LEFT JOIN ledger.head AS h ON true
      LEFT JOIN LATERAL (SELECT b.no, b.last_seq, b.hash FROM ledger.batch AS b ORDER BY b.no DESC LIMIT 1) AS newest ON true
     WHERE heads <> 1
        OR (h.batch_no, h.last_seq, h.hash) IS DISTINCT FROM
           (coalesce(newest.no, 0), coalesce(newest.last_seq, 0), coalesce(newest.hash, sha256('strongroom/ledger/v1'::bytea)));
  RETURN QUERY
    SELECT 'journal', 'transfer ' || t.id, 'belongs to no batch'
      FROM ledger.transfer AS t
     WHERE t.seq < coalesce((SELECT b.first_seq FROM ledger.batch AS b WHERE b.last_seq >= t.seq ORDER BY b.last_seq LIMIT 1),
                            t.seq + 1);

  RETURN QUERY
    SELECT 'idempotency', coalesce(t.id, i.id)::text, 'the journal and the ids it remembers differ'
      FROM ledger.transfer AS t FULL JOIN ledger.transfer_id AS i ON i.seq = t.seq
     WHERE t.id IS DISTINCT FROM i.id;

  -- Each hold is as the journal made it and resolved at most once, by what the journal says.
  RETURN QUERY
    SELECT 'pending', coalesce(p.id, t.id)::text, 'the hold is not as the journal says'
      FROM ledger.pending AS p
      FULL JOIN (
        SELECT made.id, made.debit_account, made.credit_account, made.amount, count(done.id) AS resolutions,
               min(done.id::text) AS resolved_by, min(done.kind::text) AS resolution,
               bool_and(done.debit_account = made.debit_account AND done.credit_account = made.credit_account
                        AND done.amount <= made.amount) AS resolved_within
          FROM ledger.transfer AS made LEFT JOIN ledger.transfer AS done ON done.pending_id = made.id
         WHERE made.kind = 'pending'
         GROUP BY made.id, made.debit_account, made.credit_account, made.amount) AS t ON t.id = p.id
     WHERE p.id IS NULL OR t.id IS NULL OR t.resolutions > 1 OR t.resolved_within = false
        OR (p.debit_account, p.credit_account, p.amount, p.resolved_by::text, p.state) IS DISTINCT FROM
           (t.debit_account, t.credit_account, t.amount, t.resolved_by,
            CASE t.resolution WHEN 'post-pending' THEN 'posted' WHEN 'void-pending' THEN 'voided' ELSE 'pending' END);
END $$;
REVOKE ALL ON FUNCTION ledger.verify FROM PUBLIC;
