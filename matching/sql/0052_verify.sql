-- Explaining what was settled, and proving it from its rows.

-- What each trade gave and took, base units of the ledger, signed. Account 0: the fee, of the house.
CREATE VIEW matching.trade_leg AS
  SELECT t.engine, t.number, leg.account, leg.asset, leg.units
    FROM matching.trade AS t
    JOIN matching.market AS m ON m.engine = t.engine AND m.no = t.market
    JOIN matching.asset AS b ON b.engine = t.engine AND b.no = m.base
    JOIN matching.asset AS q ON q.engine = t.engine AND q.no = m.quote
   CROSS JOIN LATERAL (SELECT CASE WHEN t.taker_buys THEN t.taker ELSE t.maker END AS buyer,
                              CASE WHEN t.taker_buys THEN t.maker ELSE t.taker END AS seller,
                              CASE WHEN t.taker_buys THEN t.taker_fee ELSE t.maker_fee END * b.unit AS base_fee,
                              CASE WHEN t.taker_buys THEN t.maker_fee ELSE t.taker_fee END * q.unit AS quote_fee,
                              t.lots::numeric * m.lot_units * b.unit AS base,
                              t.lots::numeric * t.price * m.tick_units * q.unit AS quote) AS v
   CROSS JOIN LATERAL (VALUES (v.buyer, m.base, v.base - v.base_fee), (v.seller, m.base, -v.base), (0, m.base, v.base_fee),
                              (v.seller, m.quote, v.quote - v.quote_fee), (v.buyer, m.quote, -v.quote), (0, m.quote, v.quote_fee))
              AS leg (account, asset, units);

-- The candles around the trades p_first to p_last, in whole minutes: those of a minute against its trades, the longer ones against
-- the minutes they are made of. So what is read is bounded by the range, but for a day's minutes of each market at its ends.
CREATE FUNCTION matching.verify_candles(p_engine smallint, p_first bigint, p_last bigint) RETURNS TABLE (place text, problem text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_trades bigint; v_from bigint; v_to bigint; -- minutes, the second not included
  v_before bigint; v_upto bigint; -- numbers: the trades of these minutes are after the first, up to and with the second
BEGIN
  SELECT h.trades INTO STRICT v_trades FROM matching.head AS h WHERE h.engine = p_engine;
  SELECT min(t.time_ms) - min(t.time_ms) % 60000, max(t.time_ms) - max(t.time_ms) % 60000 + 60000 INTO v_from, v_to
    FROM matching.trade AS t WHERE t.engine = p_engine AND t.number BETWEEN p_first AND p_last;
  IF p_first = 1 AND p_last >= v_trades THEN -- all: also candles of no trade
    v_from := 0;
    v_to := 9007199254740992;
  ELSIF v_from IS NULL THEN
    RETURN;
  END IF;
  v_before := coalesce((SELECT t.number FROM matching.trade AS t WHERE t.engine = p_engine AND t.number < p_first AND t.time_ms < v_from
                         ORDER BY t.number DESC LIMIT 1), 0);
  v_upto := coalesce((SELECT t.number - 1 FROM matching.trade AS t WHERE t.engine = p_engine AND t.number > p_last AND t.time_ms >= v_to
                       ORDER BY t.number LIMIT 1), v_trades);
  RETURN QUERY
    WITH minute AS (
      SELECT t.market, t.time_ms - t.time_ms % 60000 AS start_ms, min(t.number) AS first, max(t.number) AS last, max(t.price) AS high,
             min(t.price) AS low, sum(t.lots) AS lots, sum(t.lots::numeric * t.price) AS value, count(*) AS trades
        FROM matching.trade AS t WHERE t.engine = p_engine AND t.number > v_before AND t.number <= v_upto GROUP BY 1, 2
    ), traded AS (
      SELECT 60000 AS interval_ms, m.start_ms, m.market,
             ROW(f.price, m.high, m.low, l.price, m.lots, m.value, m.trades, l.seq, l.index) AS figures
        FROM minute AS m
        JOIN matching.trade AS f ON f.engine = p_engine AND f.number = m.first
        JOIN matching.trade AS l ON l.engine = p_engine AND l.number = m.last
      UNION ALL
      SELECT i.ms, c.start_ms - c.start_ms % i.ms, c.market,
             ROW((array_agg(c.open ORDER BY c.start_ms))[1], max(c.high), min(c.low), (array_agg(c.close ORDER BY c.start_ms DESC))[1],
                 sum(c.lots), sum(c.value), sum(c.trades)::bigint, (array_agg(c.last_seq ORDER BY c.start_ms DESC))[1],
                 (array_agg(c.last_index ORDER BY c.start_ms DESC))[1])
        FROM matching.candle AS c CROSS JOIN unnest(matching.candle_intervals()) AS i (ms)
       WHERE c.engine = p_engine AND c.interval_ms = 60000 AND i.ms > 60000
         AND c.start_ms >= v_from - v_from % i.ms AND c.start_ms < v_to + i.ms - 1 - (v_to + i.ms - 1) % i.ms
       GROUP BY i.ms, c.start_ms - c.start_ms % i.ms, c.market
    ), kept AS (
      SELECT c.interval_ms, c.start_ms, c.market,
             ROW(c.open, c.high, c.low, c.close, c.lots, c.value, c.trades, c.last_seq, c.last_index) AS figures
        FROM matching.candle AS c
       WHERE c.engine = p_engine AND c.start_ms >= v_from - v_from % c.interval_ms AND c.start_ms < v_to
    )
    SELECT m.id || ' ' || interval_ms || ' ' || start_ms,
           CASE WHEN traded.figures IS NULL THEN 'stands for no trades' WHEN kept.figures IS NULL THEN 'is missing'
                ELSE 'is ' || kept.figures::text || ', its trades come to ' || traded.figures::text END
      FROM traded FULL JOIN kept USING (interval_ms, start_ms, market)
      LEFT JOIN matching.market AS m ON m.engine = p_engine AND m.no = market
     WHERE traded.figures IS DISTINCT FROM kept.figures;
END $$;

-- Recomputes the chain of portions, and from the trades what the ledger must have booked for each; nothing for all is well.
CREATE FUNCTION matching.verify(p_name text, p_from bigint, p_to bigint) RETURNS TABLE ("check" text, place text, problem text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE v_engine smallint;
BEGIN
  SELECT e.no INTO STRICT v_engine FROM matching.engine AS e WHERE e.name = p_name;
  RETURN QUERY
    WITH p AS (
      SELECT p.*, lag(p.no) OVER w AS before_no, lag(p.hash) OVER w AS before_hash, lag(p.last_trade) OVER w AS before_trade,
             lag(p.seq) OVER w AS before_seq, lag(p.index) OVER w AS before_index
        FROM matching.portion AS p WHERE p.engine = v_engine AND p.no BETWEEN p_from - 1 AND p_to WINDOW w AS (ORDER BY p.no)
    )
    SELECT 'chain', 'portion ' || p.no, 'does not follow the portion before it'
      FROM p WHERE p.no >= p_from
       AND ((p.no, p.prev_hash, p.first_trade) IS DISTINCT FROM
              (coalesce(p.before_no, 0) + 1, coalesce(p.before_hash, matching.first_hash(v_engine)), coalesce(p.before_trade, 0) + 1)
            OR (p.seq, p.index) <= (p.before_seq, p.before_index));
  RETURN QUERY
    SELECT 'chain', 'portion ' || p.no, 'its rows are not those of its hash'
      FROM matching.portion AS p
     CROSS JOIN LATERAL (SELECT string_agg(matching.trade_line(t.number, t.seq, t.index, t.time_ms, t.market, t.price, t.lots, t.taker_buys, t.auction, t.taker, t.maker, t.taker_order, t.maker_order, t.taker_fee, t.maker_fee), E'\n' ORDER BY t.number) AS lines, count(*) AS found FROM matching.trade AS t
                          WHERE t.engine = v_engine AND t.number BETWEEN p.first_trade AND p.last_trade) AS t
     CROSS JOIN LATERAL (SELECT string_agg(matching.movement_line(m.seq, m.index, m.account, m.asset, m.units, m.ledger_seq, m.client_order_id), E'\n' ORDER BY m.seq, m.index) AS lines FROM matching.movement AS m
                          WHERE m.engine = v_engine AND m.portion = p.no) AS m
     WHERE p.engine = v_engine AND p.no BETWEEN p_from AND p_to
       AND (t.found <> p.last_trade - p.first_trade + 1
            OR p.rows_hash <> matching.lines_hash(coalesce(t.lines, '') || E'\n\n' || coalesce(m.lines, ''))
            OR p.hash <> matching.portion_hash(p.prev_hash, p.no, p.seq, p.index, p.rows_hash));
  RETURN QUERY
    SELECT 'head', p_name, 'the head is not the newest portion'
      FROM matching.head AS h
      LEFT JOIN matching.portion AS p ON p.engine = v_engine AND p.no = h.portion
     WHERE h.engine = v_engine
       AND ((h.trades, h.seq, h.index, h.credited, h.hash) IS DISTINCT FROM
              (coalesce(p.last_trade, 0), coalesce(p.seq, 0), coalesce(p.index, 2147483647), coalesce(p.credited, 0), coalesce(p.hash, matching.first_hash(v_engine)))
            OR EXISTS (SELECT FROM matching.portion AS n WHERE n.engine = v_engine AND n.no > h.portion)
            OR EXISTS (SELECT FROM matching.trade AS t WHERE t.engine = v_engine AND t.number > h.trades));
  -- Net by net: what the trades come to against what the ledger has booked under the portion's hash.
  RETURN QUERY
    WITH traded AS (
      SELECT p.no, coalesce('customer:acc_' || a.account || ':spot', 'house:income') AS path, s.id AS asset, l.units
        FROM matching.portion AS p
       CROSS JOIN LATERAL (SELECT l.account, l.asset, sum(l.units) AS units FROM matching.trade_leg AS l
                            WHERE l.engine = v_engine AND l.number BETWEEN p.first_trade AND p.last_trade GROUP BY 1, 2) AS l
        JOIN matching.asset AS s ON s.engine = v_engine AND s.no = l.asset
        LEFT JOIN matching.account AS a ON a.engine = v_engine AND a.number = l.account AND l.account > 0
       WHERE p.engine = v_engine AND p.no BETWEEN p_from AND p_to
    ), booked AS (
      SELECT p.no, a.path, a.asset, t.units
        FROM matching.portion AS p
       CROSS JOIN LATERAL (SELECT x.account, sum(x.units) AS units
                             FROM ledger.transfer AS t
                            CROSS JOIN LATERAL (VALUES (t.debit_account, -t.amount), (t.credit_account, t.amount)) AS x (account, units)
                            WHERE t.reference = 'engine/' || p_name || '/p' || p.no || '/' || encode(p.hash, 'hex') GROUP BY 1) AS t
        JOIN ledger.account AS a ON a.id = t.account
       WHERE p.engine = v_engine AND p.no BETWEEN p_from AND p_to
    )
    SELECT 'net', 'portion ' || no, path || ' ' || asset || ': traded ' || coalesce(traded.units, 0) || ', booked ' || coalesce(booked.units, 0)
      FROM traded FULL JOIN booked USING (no, path, asset)
     WHERE coalesce(traded.units, 0) <> coalesce(booked.units, 0);
  RETURN QUERY
    SELECT 'candle', c.place, c.problem
      FROM (SELECT min(p.first_trade) AS first, max(p.last_trade) AS last FROM matching.portion AS p
             WHERE p.engine = v_engine AND p.no BETWEEN p_from AND p_to) AS p
     CROSS JOIN LATERAL matching.verify_candles(v_engine, coalesce(p.first, 1), coalesce(p.last, 0)) AS c;
  -- Movements against their transfers, one by one.
  RETURN QUERY
    SELECT 'movement', m.seq || '/' || m.index, 'not credited as the ledger moved it to spot'
      FROM matching.movement AS m
      JOIN matching.asset AS s ON s.engine = v_engine AND s.no = m.asset
      LEFT JOIN matching.account AS a ON a.engine = v_engine AND a.number = m.account
      LEFT JOIN ledger.transfer AS t ON t.seq = m.ledger_seq AND t.code = 'spot-in' AND t.amount = m.units * s.unit
      LEFT JOIN ledger.account AS c ON c.id = t.credit_account
     WHERE m.engine = v_engine AND m.portion BETWEEN p_from AND p_to AND m.ledger_seq IS NOT NULL
       AND (c.path, c.asset) IS DISTINCT FROM ('customer:acc_' || a.account || ':spot', s.id);
  RETURN QUERY
    SELECT 'movement', m.seq || '/' || m.index, 'not booked back to main as it was debited'
      FROM matching.movement AS m
      JOIN matching.asset AS s ON s.engine = v_engine AND s.no = m.asset
      LEFT JOIN matching.account AS a ON a.engine = v_engine AND a.number = m.account
      LEFT JOIN ledger.transfer AS t ON t.reference = 'engine/' || p_name || '/' || m.seq || '/' || m.index
                                    AND t.code = 'spot-out' AND t.amount = m.units * s.unit
      LEFT JOIN ledger.account AS d ON d.id = t.debit_account
     WHERE m.engine = v_engine AND m.portion BETWEEN p_from AND p_to AND m.ledger_seq IS NULL AND m.account <> 0
       AND (d.path, d.asset) IS DISTINCT FROM ('customer:acc_' || a.account || ':spot', s.id);
  RETURN QUERY
    SELECT 'house', s.id, 'charged and taken are not what the trades and debits come to'
      FROM matching.house AS h JOIN matching.asset AS s ON s.engine = v_engine AND s.no = h.asset
     WHERE h.engine = v_engine AND p_from = 1 AND p_to >= (SELECT portion FROM matching.head WHERE engine = v_engine)
       AND (h.charged * s.unit <> coalesce((SELECT sum(l.units) FROM matching.trade_leg AS l WHERE l.engine = v_engine AND l.account = 0 AND l.asset = h.asset), 0)
            OR h.taken <> coalesce((SELECT sum(m.units) FROM matching.movement AS m WHERE m.engine = v_engine AND m.account = 0 AND m.asset = h.asset AND m.ledger_seq IS NULL), 0));
  -- Between portions clearing has nothing, and nothing is booked over it that no portion stands for.
  RETURN QUERY
    SELECT 'clearing', b.asset, 'clearing holds ' || (b.credits_posted - b.debits_posted)
      FROM ledger.account_balance AS b WHERE b.path = 'house:clearing' AND b.credits_posted <> b.debits_posted;
END $$;
