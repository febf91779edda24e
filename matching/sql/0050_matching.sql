-- What the settlement of an engine keeps beside the ledger: whose number is whose account, every trade, and how far they are
-- booked. The ledger gets what a portion of trades comes to per customer and asset; this is where it comes from.
CREATE SCHEMA matching;

CREATE FUNCTION matching.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'matching.% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'MT001';
END $$;

-- An engine and its stream of events: one journal of one configuration. Its assets and markets say what the numbers in its
-- trades mean, for as long as there are trades.
CREATE TABLE matching.engine (
  no   smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9-]{1,32}$')
);
CREATE TABLE matching.asset (
  engine smallint NOT NULL REFERENCES matching.engine,
  no     smallint NOT NULL CHECK (no >= 0),
  id     text NOT NULL,
  unit   numeric(78, 0) NOT NULL CHECK (unit >= 1), -- base units of the ledger in one unit of the engine
  PRIMARY KEY (engine, no),
  UNIQUE (engine, id)
);
CREATE TABLE matching.market (
  engine     smallint NOT NULL REFERENCES matching.engine,
  no         smallint NOT NULL CHECK (no >= 0),
  id         text NOT NULL,
  base       smallint NOT NULL,
  quote      smallint NOT NULL,
  lot_units  bigint NOT NULL CHECK (lot_units >= 1),  -- engine units of base in a lot
  tick_units bigint NOT NULL CHECK (tick_units >= 1), -- engine units of quote that a lot costs at one tick
  PRIMARY KEY (engine, no),
  FOREIGN KEY (engine, base) REFERENCES matching.asset,
  FOREIGN KEY (engine, quote) REFERENCES matching.asset
);
-- Numbers are given out in order, as the engine opens its accounts; 0 is the house and has no row.
CREATE TABLE matching.account (
  engine  smallint NOT NULL REFERENCES matching.engine,
  number  integer NOT NULL CHECK (number >= 1),
  account uuid NOT NULL,
  PRIMARY KEY (engine, number),
  UNIQUE (engine, account)
);

-- One row per trade, as the engine said it: everything else follows (matching.trade_leg).
CREATE TABLE matching.trade (
  number      bigint NOT NULL, -- 1, 2, 3 ... without gaps
  seq         bigint NOT NULL, -- of the command
  price       integer NOT NULL,
  taker       integer NOT NULL,
  maker       integer NOT NULL,
  index       integer NOT NULL, -- within the command
  lots        bigint NOT NULL,
  taker_order bigint NOT NULL,
  maker_order bigint NOT NULL,
  taker_fee   bigint NOT NULL, -- engine units of what the taker received
  maker_fee   bigint NOT NULL,
  engine      smallint NOT NULL,
  market      smallint NOT NULL,
  taker_buys  boolean NOT NULL,
  auction     boolean NOT NULL,
  PRIMARY KEY (engine, number),
  CHECK (price >= 1 AND lots >= 1 AND taker >= 1 AND maker >= 1 AND taker <> maker AND taker_fee >= 0 AND maker_fee >= 0)
);
-- What came into the engine from the ledger and went back. Account 0: the house took its fees out of the engine; they are its
-- income in the ledger since the trades were booked.
CREATE TABLE matching.movement (
  engine     smallint NOT NULL,
  seq        bigint NOT NULL,
  index      integer NOT NULL,
  portion    bigint NOT NULL,
  account    integer NOT NULL,
  asset      smallint NOT NULL,
  units      bigint NOT NULL CHECK (units >= 1),
  ledger_seq bigint CHECK (ledger_seq >= 1), -- credited: the transfer that it comes from; null: debited
  PRIMARY KEY (engine, seq, index),
  FOREIGN KEY (engine, asset) REFERENCES matching.asset
);
CREATE INDEX movement_portion ON matching.movement (engine, portion);

-- Events are booked in portions. Each is hashed over its rows and the portion before; its transfers carry that hash as their
-- reference, so that the ledger's chain, and whoever keeps its signed heads, covers every trade.
CREATE TABLE matching.portion (
  engine      smallint NOT NULL REFERENCES matching.engine,
  no          bigint NOT NULL,
  first_trade bigint NOT NULL,
  last_trade  bigint NOT NULL CHECK (last_trade >= first_trade - 1),
  seq         bigint NOT NULL, -- all events up to and with this one are booked
  index       integer NOT NULL, -- 2147483647: with the whole command
  credited    bigint NOT NULL, -- the newest transfer of the ledger that the engine had been credited by then
  rows_hash   bytea NOT NULL CHECK (length(rows_hash) = 32),
  prev_hash   bytea NOT NULL CHECK (length(prev_hash) = 32),
  hash        bytea NOT NULL CHECK (length(hash) = 32),
  PRIMARY KEY (engine, no)
);
-- The newest portion of each engine. Its lock is the settlement's: a portion is booked only onto the one it was made for.
CREATE TABLE matching.head (
  engine   smallint PRIMARY KEY REFERENCES matching.engine,
  portion  bigint NOT NULL DEFAULT 0,
  trades   bigint NOT NULL DEFAULT 0,
  seq      bigint NOT NULL DEFAULT 0,
  index    integer NOT NULL DEFAULT 2147483647,
  credited bigint NOT NULL DEFAULT 0,
  hash     bytea NOT NULL CHECK (length(hash) = 32)
) WITH (fillfactor = 10);
-- What account 0 of the engine was paid, and what was taken out of it.
CREATE TABLE matching.house (
  engine  smallint NOT NULL,
  asset   smallint NOT NULL,
  charged numeric(78, 0) NOT NULL DEFAULT 0,
  taken   numeric(78, 0) NOT NULL DEFAULT 0 CHECK (taken <= charged),
  PRIMARY KEY (engine, asset),
  FOREIGN KEY (engine, asset) REFERENCES matching.asset
) WITH (fillfactor = 50);
-- How far what goes to the engine was told to it: the ledger's journal, and numbers of accounts. It may have been told more;
-- it knows what it has heard before.
CREATE TABLE matching.fed (
  engine     smallint PRIMARY KEY REFERENCES matching.engine,
  ledger_seq bigint NOT NULL DEFAULT 0,
  accounts   integer NOT NULL DEFAULT 0
) WITH (fillfactor = 10);

DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['engine', 'asset', 'market', 'account', 'trade', 'movement', 'portion'] LOOP
    EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE OR TRUNCATE ON matching.%I
                      FOR EACH STATEMENT EXECUTE FUNCTION matching.refuse_change()', t || '_append_only', t);
    EXECUTE format('REVOKE ALL ON matching.%I FROM PUBLIC', t);
  END LOOP;
  FOREACH t IN ARRAY ARRAY['head', 'house', 'fed'] LOOP
    EXECUTE format('CREATE TRIGGER %I BEFORE DELETE OR TRUNCATE ON matching.%I
                      FOR EACH STATEMENT EXECUTE FUNCTION matching.refuse_change()', t || '_kept', t);
    EXECUTE format('REVOKE ALL ON matching.%I FROM PUBLIC', t);
  END LOOP;
  -- As of the ledger's journal: rows that never change are frozen as they come.
  FOREACH t IN ARRAY ARRAY['trade', 'movement', 'portion'] LOOP
    EXECUTE format('ALTER TABLE matching.%I SET (autovacuum_freeze_min_age = 0,
      autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 1000000)', t);
  END LOOP;
END $$;

-- ---------------------------------------------------------------- what the hash covers: the settler writes the same lines

CREATE FUNCTION matching.trade_line(
  number bigint, seq bigint, index int, market smallint, price int, lots bigint, taker_buys boolean, auction boolean, taker int,
  maker int, taker_order bigint, maker_order bigint, taker_fee bigint, maker_fee bigint
) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE RETURN
  number::text || '|' || seq::text || '|' || index::text || '|' || market::text || '|' || price::text || '|' || lots::text || '|' ||
  CASE WHEN taker_buys THEN 'buy' ELSE 'sell' END || '|' || CASE WHEN auction THEN 'auction' ELSE '' END || '|' ||
  taker::text || '|' || maker::text || '|' || taker_order::text || '|' || maker_order::text || '|' || taker_fee::text || '|' ||
  maker_fee::text;

CREATE FUNCTION matching.movement_line(seq bigint, index int, account int, asset smallint, units bigint, ledger_seq bigint)
RETURNS text LANGUAGE sql STABLE PARALLEL SAFE RETURN
  seq::text || '|' || index::text || '|' || account::text || '|' || asset::text || '|' || units::text || '|' ||
  coalesce(ledger_seq::text, '');

CREATE FUNCTION matching.portion_hash(p_prev bytea, p_no bigint, p_seq bigint, p_index int, p_rows_hash bytea)
RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
  sha256(p_prev || convert_to(p_no || '|' || p_seq || '|' || p_index || '|', 'UTF8') || p_rows_hash);

CREATE FUNCTION matching.lines_hash(p_lines text) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
  sha256(convert_to(coalesce(p_lines, ''), 'UTF8'));

-- Of an engine without portions.
CREATE FUNCTION matching.first_hash(p_engine smallint) RETURNS bytea LANGUAGE sql STABLE RETURN (
  SELECT matching.lines_hash('strongroom/matching/v1' || E'\n' || e.name || E'\n' ||
    coalesce((SELECT string_agg(a.no || '|' || a.id || '|' || a.unit, E'\n' ORDER BY a.no) FROM matching.asset AS a WHERE a.engine = e.no), '') || E'\n' ||
    coalesce((SELECT string_agg(m.no || '|' || m.id || '|' || m.base || '|' || m.quote || '|' || m.lot_units || '|' || m.tick_units, E'\n' ORDER BY m.no)
                FROM matching.market AS m WHERE m.engine = e.no), ''))
    FROM matching.engine AS e WHERE e.no = p_engine);

-- ---------------------------------------------------------------- writing

-- The engine's number; makes it if it is new. With other assets or markets than before it is refused (MT002): their trades
-- would mean something else.
CREATE FUNCTION matching.open_engine(
  p_name text, p_asset text[], p_unit numeric[], p_market text[], p_base int[], p_quote int[], p_lot_units bigint[], p_tick_units bigint[]
) RETURNS smallint LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE v_no smallint;
BEGIN
  INSERT INTO matching.engine (name) VALUES (p_name) ON CONFLICT DO NOTHING RETURNING no INTO v_no;
  IF FOUND THEN
    INSERT INTO matching.asset SELECT v_no, u.n - 1, u.id, u.unit FROM unnest(p_asset, p_unit) WITH ORDINALITY AS u (id, unit, n);
    INSERT INTO matching.market SELECT v_no, u.n - 1, u.id, u.base, u.quote, u.lot_units, u.tick_units
      FROM unnest(p_market, p_base, p_quote, p_lot_units, p_tick_units) WITH ORDINALITY AS u (id, base, quote, lot_units, tick_units, n);
    INSERT INTO matching.house (engine, asset) SELECT v_no, a.no FROM matching.asset AS a WHERE a.engine = v_no;
    INSERT INTO matching.fed (engine) VALUES (v_no);
    INSERT INTO matching.head (engine, hash) VALUES (v_no, matching.first_hash(v_no));
    RETURN v_no;
  END IF;
  SELECT e.no INTO STRICT v_no FROM matching.engine AS e WHERE e.name = p_name;
  IF (SELECT (array_agg(a.id ORDER BY a.no), array_agg(a.unit ORDER BY a.no)) IS DISTINCT FROM (p_asset, p_unit)
        FROM matching.asset AS a WHERE a.engine = v_no)
     OR (SELECT (array_agg(m.id ORDER BY m.no), array_agg(m.base::int ORDER BY m.no), array_agg(m.quote::int ORDER BY m.no),
                 array_agg(m.lot_units ORDER BY m.no), array_agg(m.tick_units ORDER BY m.no))
                IS DISTINCT FROM (p_market, p_base, p_quote, p_lot_units, p_tick_units)
           FROM matching.market AS m WHERE m.engine = v_no) THEN
    RAISE EXCEPTION 'matching.open_engine: % has other assets or markets', p_name USING ERRCODE = 'MT002';
  END IF;
  RETURN v_no;
END $$;

-- The numbers of accounts, in the order asked; those that have none get the next ones. The row of matching.fed is the lock.
CREATE FUNCTION matching.give_numbers(p_engine smallint, p_account uuid[]) RETURNS TABLE (account uuid, number integer)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE v_last integer;
BEGIN
  IF EXISTS (SELECT unnest(p_account) EXCEPT SELECT a.account FROM matching.account AS a WHERE a.engine = p_engine AND a.account = ANY (p_account)) THEN
    PERFORM FROM matching.fed AS f WHERE f.engine = p_engine FOR UPDATE;
    SELECT coalesce(max(a.number), 0) INTO v_last FROM matching.account AS a WHERE a.engine = p_engine;
    INSERT INTO matching.account
      SELECT p_engine, v_last + row_number() OVER (ORDER BY min(u.n)), u.account
        FROM unnest(p_account) WITH ORDINALITY AS u (account, n)
       WHERE NOT EXISTS (SELECT FROM matching.account AS a WHERE a.engine = p_engine AND a.account = u.account)
       GROUP BY u.account;
  END IF;
  RETURN QUERY SELECT a.account, a.number FROM matching.account AS a WHERE a.engine = p_engine AND a.account = ANY (p_account) ORDER BY a.number;
END $$;

-- Writes what a portion holds, if the engine's newest portion is p_after; returns the newest as it was. The transfers follow
-- in the same transaction. p_hash is what the settler computed and put into them.
CREATE FUNCTION matching.record_portion(
  p_engine smallint, p_after bigint, p_seq bigint, p_index int, p_hash bytea,
  t_seq bigint[], t_index int[], t_market int[], t_price int[], t_lots bigint[], t_taker_buys boolean[], t_auction boolean[],
  t_taker int[], t_maker int[], t_taker_order bigint[], t_maker_order bigint[], t_taker_fee bigint[], t_maker_fee bigint[],
  m_seq bigint[], m_index int[], m_account int[], m_asset int[], m_units bigint[], m_ledger_seq bigint[],
  h_asset int[], h_charged numeric[], h_taken numeric[]
) RETURNS bigint LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_head matching.head%ROWTYPE; v_trades text; v_movements text; v_rows_hash bytea; v_hash bytea; v_credited bigint;
BEGIN
  SELECT * INTO STRICT v_head FROM matching.head AS h WHERE h.engine = p_engine FOR NO KEY UPDATE;
  IF v_head.portion <> p_after THEN
    RETURN v_head.portion;
  END IF;
  IF (p_seq, p_index) <= (v_head.seq, v_head.index)
     OR EXISTS (SELECT FROM unnest(t_seq || m_seq, t_index || m_index) AS u (seq, index)
                 WHERE (u.seq, u.index) <= (v_head.seq, v_head.index) OR (u.seq, u.index) > (p_seq, p_index)) THEN
    RAISE EXCEPTION 'matching.record_portion: events of % that are not between (%, %) and (%, %)', p_engine, v_head.seq,
      v_head.index, p_seq, p_index USING ERRCODE = 'MT003';
  END IF;
  -- What the engine was credited must have come from the ledger, or it trades on nothing.
  IF EXISTS (SELECT FROM unnest(m_account, m_asset, m_units, m_ledger_seq) AS u (account, asset, units, ledger_seq)
              WHERE u.ledger_seq IS NOT NULL
                AND NOT EXISTS (SELECT FROM ledger.transfer AS t
                                  JOIN ledger.account AS c ON c.id = t.credit_account
                                  JOIN matching.asset AS s ON s.engine = p_engine AND s.no = u.asset AND s.id = c.asset
                                  JOIN matching.account AS a ON a.engine = p_engine AND a.number = u.account
                                 WHERE t.seq = u.ledger_seq AND t.code = 'spot-in' AND t.amount = u.units * s.unit
                                   AND c.path = 'customer:acc_' || a.account || ':spot')) THEN
    RAISE EXCEPTION 'matching.record_portion: portion % of % credits what the ledger did not move to spot', p_after + 1, p_engine
      USING ERRCODE = 'MT005';
  END IF;
  WITH entry AS MATERIALIZED (
    SELECT v_head.trades + u.n, u.seq, u.price, u.taker, u.maker, u.index, u.lots, u.taker_order, u.maker_order, u.taker_fee,
           u.maker_fee, p_engine, u.market::smallint, u.taker_buys, u.auction
      FROM unnest(t_seq, t_index, t_market, t_price, t_lots, t_taker_buys, t_auction, t_taker, t_maker, t_taker_order,
                  t_maker_order, t_taker_fee, t_maker_fee)
           WITH ORDINALITY AS u (seq, index, market, price, lots, taker_buys, auction, taker, maker, taker_order, maker_order,
                                 taker_fee, maker_fee, n)
  ), written AS (
    INSERT INTO matching.trade SELECT * FROM entry RETURNING *
  )
  SELECT string_agg(matching.trade_line(w.number, w.seq, w.index, w.market, w.price, w.lots, w.taker_buys, w.auction, w.taker, w.maker, w.taker_order, w.maker_order, w.taker_fee, w.maker_fee), E'\n' ORDER BY w.number) INTO v_trades FROM written AS w;
  WITH written AS (
    INSERT INTO matching.movement (engine, seq, index, portion, account, asset, units, ledger_seq)
      SELECT p_engine, u.seq, u.index, p_after + 1, u.account, u.asset, u.units, u.ledger_seq
        FROM unnest(m_seq, m_index, m_account, m_asset, m_units, m_ledger_seq) AS u (seq, index, account, asset, units, ledger_seq)
    RETURNING *
  )
  SELECT string_agg(matching.movement_line(w.seq, w.index, w.account, w.asset, w.units, w.ledger_seq), E'\n' ORDER BY w.seq, w.index), greatest(v_head.credited, max(w.ledger_seq))
    INTO v_movements, v_credited FROM written AS w;
  v_rows_hash := matching.lines_hash(coalesce(v_trades, '') || E'\n\n' || coalesce(v_movements, ''));
  v_hash := matching.portion_hash(v_head.hash, p_after + 1, p_seq, p_index, v_rows_hash);
  IF v_hash <> p_hash THEN
    RAISE EXCEPTION 'matching.record_portion: portion % of % has another hash than its transfers', p_after + 1, p_engine
      USING ERRCODE = 'MT004';
  END IF;
  INSERT INTO matching.portion VALUES (p_engine, p_after + 1, v_head.trades + 1, v_head.trades + coalesce(cardinality(t_seq), 0),
    p_seq, p_index, v_credited, v_rows_hash, v_head.hash, v_hash);
  UPDATE matching.house AS h SET charged = h.charged + u.charged, taken = h.taken + u.taken
    FROM unnest(h_asset, h_charged, h_taken) AS u (asset, charged, taken) WHERE h.engine = p_engine AND h.asset = u.asset;
  UPDATE matching.head AS h SET portion = p_after + 1, trades = v_head.trades + coalesce(cardinality(t_seq), 0), seq = p_seq,
    index = p_index, credited = v_credited, hash = v_hash WHERE h.engine = p_engine;
  RETURN p_after;
END $$;

CREATE FUNCTION matching.advance_fed(p_engine smallint, p_ledger_seq bigint, p_accounts int) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  UPDATE matching.fed AS f SET ledger_seq = greatest(f.ledger_seq, p_ledger_seq), accounts = greatest(f.accounts, p_accounts)
   WHERE f.engine = p_engine;
$$;
REVOKE ALL ON FUNCTION matching.open_engine, matching.give_numbers, matching.record_portion, matching.advance_fed FROM PUBLIC;

-- ---------------------------------------------------------------- explaining and proving

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
     CROSS JOIN LATERAL (SELECT string_agg(matching.trade_line(t.number, t.seq, t.index, t.market, t.price, t.lots, t.taker_buys, t.auction, t.taker, t.maker, t.taker_order, t.maker_order, t.taker_fee, t.maker_fee), E'\n' ORDER BY t.number) AS lines, count(*) AS found FROM matching.trade AS t
                          WHERE t.engine = v_engine AND t.number BETWEEN p.first_trade AND p.last_trade) AS t
     CROSS JOIN LATERAL (SELECT string_agg(matching.movement_line(m.seq, m.index, m.account, m.asset, m.units, m.ledger_seq), E'\n' ORDER BY m.seq, m.index) AS lines FROM matching.movement AS m
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
REVOKE ALL ON FUNCTION matching.verify FROM PUBLIC;
