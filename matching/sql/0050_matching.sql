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

-- One row per trade, as the engine said it: everything else follows (matching.trade_leg). Cut into partitions by engine and
-- number, see below.
CREATE TABLE matching.trade (
  number      bigint NOT NULL, -- 1, 2, 3 ... without gaps, in the order of (seq, index)
  seq         bigint NOT NULL, -- of the command
  time_ms     bigint NOT NULL, -- of the command; never before that of the trade before
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
  CHECK (time_ms >= 0 AND price >= 1 AND lots >= 1 AND taker >= 1 AND maker >= 1 AND taker <> maker AND taker_fee >= 0 AND maker_fee >= 0)
) PARTITION BY RANGE (engine, number);
-- The fills of an account, and the trades of a market, newest first. Account, engine and market are eight bytes together, and a
-- page of one market reads no row of another, however many of those the account has.
CREATE INDEX trade_taker ON matching.trade (taker, engine, market, number);
CREATE INDEX trade_maker ON matching.trade (maker, engine, market, number);
CREATE INDEX trade_market ON matching.trade (engine, market, number);

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
  client_order_id numeric(20, 0), -- of a debit, as it was given: a uint64; null: none
  PRIMARY KEY (engine, seq, index),
  FOREIGN KEY (engine, asset) REFERENCES matching.asset,
  CHECK (client_order_id IS NULL OR (ledger_seq IS NULL AND client_order_id BETWEEN 1 AND 18446744073709551615))
);
CREATE INDEX movement_portion ON matching.movement (engine, portion);
-- Not unique: the engine itself remembers the newest ids of an account only, and what it did is booked.
CREATE INDEX movement_client ON matching.movement (engine, account, client_order_id, seq, index) WHERE client_order_id IS NOT NULL;

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
CREATE INDEX portion_place ON matching.portion (engine, seq, index);
-- The newest portion of each engine. Its lock is the settlement's: a portion is booked only onto the one it was made for.
CREATE TABLE matching.head (
  engine   smallint PRIMARY KEY REFERENCES matching.engine,
  portion  bigint NOT NULL DEFAULT 0,
  trades   bigint NOT NULL DEFAULT 0,
  seq      bigint NOT NULL DEFAULT 0,
  index    integer NOT NULL DEFAULT 2147483647,
  credited bigint NOT NULL DEFAULT 0,
  hash     bytea NOT NULL CHECK (length(hash) = 32),
  room     bigint NOT NULL DEFAULT 0, -- trades up to this number have a partition
  CHECK (trades <= room)
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

-- The partitions of matching.trade: these numbers, both included.
CREATE TABLE matching.trade_partition (
  engine      smallint NOT NULL REFERENCES matching.engine,
  first_trade bigint NOT NULL,
  last_trade  bigint NOT NULL CHECK (last_trade >= first_trade),
  name        text NOT NULL UNIQUE,
  PRIMARY KEY (engine, first_trade)
);

-- What the trades of a market come to in an interval, kept as they are booked. A row changes while its interval lasts; an interval
-- without a trade has none.
CREATE FUNCTION matching.candle_intervals() RETURNS int[] LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
  ARRAY[60000, 300000, 900000, 3600000, 14400000, 86400000];
CREATE TABLE matching.candle (
  start_ms    bigint NOT NULL, -- a whole multiple of the interval since 1970
  last_seq    bigint NOT NULL, -- of the newest trade in it
  trades      bigint NOT NULL CHECK (trades >= 1),
  interval_ms integer NOT NULL CHECK (interval_ms = ANY (matching.candle_intervals())),
  last_index  integer NOT NULL,
  open        integer NOT NULL,
  high        integer NOT NULL,
  low         integer NOT NULL,
  close       integer NOT NULL,
  engine      smallint NOT NULL,
  market      smallint NOT NULL,
  lots        numeric NOT NULL,
  value       numeric NOT NULL, -- sum of lots times price
  PRIMARY KEY (engine, market, interval_ms, start_ms),
  FOREIGN KEY (engine, market) REFERENCES matching.market,
  CHECK (start_ms % interval_ms = 0 AND low >= 1 AND open BETWEEN low AND high AND close BETWEEN low AND high)
) WITH (fillfactor = 50);

DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['engine', 'asset', 'market', 'account', 'trade', 'movement', 'portion', 'trade_partition'] LOOP
    EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE OR TRUNCATE ON matching.%I
                      FOR EACH STATEMENT EXECUTE FUNCTION matching.refuse_change()', t || '_append_only', t);
    EXECUTE format('REVOKE ALL ON matching.%I FROM PUBLIC', t);
  END LOOP;
  FOREACH t IN ARRAY ARRAY['head', 'house', 'fed', 'candle'] LOOP
    EXECUTE format('CREATE TRIGGER %I BEFORE DELETE OR TRUNCATE ON matching.%I
                      FOR EACH STATEMENT EXECUTE FUNCTION matching.refuse_change()', t || '_kept', t);
    EXECUTE format('REVOKE ALL ON matching.%I FROM PUBLIC', t);
  END LOOP;
  -- As of the ledger's journal: rows that never change are frozen as they come.
  FOREACH t IN ARRAY ARRAY['movement', 'portion'] LOOP
    EXECUTE format('ALTER TABLE matching.%I SET (autovacuum_freeze_min_age = 0,
      autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 1000000)', t);
  END LOOP;
END $$;

-- ---------------------------------------------------------------- partitions of matching.trade

-- Rows of one partition: about 2.6 GB with its indexes.
CREATE FUNCTION matching.trade_partition_rows() RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN 10000000;

-- Partitions for the engine's trades up to this number. Who makes them has the lock of the engine's head, as has who writes trades: so
-- nothing is on its way into a partition that is being made. A table is made apart and attached, which no reader waits for.
CREATE FUNCTION matching.add_trade_partitions(p_engine smallint, p_number bigint) RETURNS SETOF text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_rows CONSTANT bigint := matching.trade_partition_rows();
  v_room bigint;
  v_name text;
BEGIN
  SELECT h.room INTO STRICT v_room FROM matching.head AS h WHERE h.engine = p_engine FOR NO KEY UPDATE;
  WHILE v_room < p_number LOOP
    v_name := format('trade_e%s_from_%s', p_engine, v_room + 1);
    EXECUTE format('CREATE TABLE matching.%I (LIKE matching.trade INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)
      WITH (autovacuum_freeze_min_age = 0, autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = %s)',
      v_name, v_rows / 10);
    EXECUTE format('CREATE TRIGGER trade_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON matching.%I
      FOR EACH STATEMENT EXECUTE FUNCTION matching.refuse_change()', v_name);
    EXECUTE format('REVOKE ALL ON matching.%I FROM PUBLIC', v_name);
    EXECUTE format('ALTER TABLE matching.trade ATTACH PARTITION matching.%I FOR VALUES FROM (%s, %s) TO (%s, %s)',
      v_name, p_engine, v_room + 1, p_engine, v_room + 1 + v_rows);
    INSERT INTO matching.trade_partition VALUES (p_engine, v_room + 1, v_room + v_rows, v_name);
    v_room := v_room + v_rows;
    UPDATE matching.head AS h SET room = v_room WHERE h.engine = p_engine;
    RETURN NEXT v_name;
  END LOOP;
END $$;

-- Keeps p_ahead whole partitions ready beyond the one that is written; returns those it made. What cannot be locked within a second
-- is left to the next call (SQLSTATE 55P03): the settler waits behind it.
CREATE FUNCTION matching.ensure_trade_partitions(p_engine smallint, p_ahead int) RETURNS SETOF text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s' AS $$
DECLARE
  v_wanted bigint;
BEGIN
  IF p_ahead IS NULL OR p_ahead NOT BETWEEN 1 AND 64 THEN
    RAISE EXCEPTION 'matching.ensure_trade_partitions: % partitions ahead, allowed are 1 to 64', p_ahead USING ERRCODE = 'MT006';
  END IF;
  SELECT h.trades + p_ahead * matching.trade_partition_rows() INTO STRICT v_wanted FROM matching.head AS h WHERE h.engine = p_engine;
  IF v_wanted > (SELECT h.room FROM matching.head AS h WHERE h.engine = p_engine) THEN
    RETURN QUERY SELECT matching.add_trade_partitions(p_engine, v_wanted);
  END IF;
END $$;

-- ---------------------------------------------------------------- what the hash covers: the settler writes the same lines

CREATE FUNCTION matching.trade_line(
  number bigint, seq bigint, index int, time_ms bigint, market smallint, price int, lots bigint, taker_buys boolean, auction boolean,
  taker int, maker int, taker_order bigint, maker_order bigint, taker_fee bigint, maker_fee bigint
) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE RETURN
  number::text || '|' || seq::text || '|' || index::text || '|' || time_ms::text || '|' || market::text || '|' || price::text || '|' ||
  lots::text || '|' ||
  CASE WHEN taker_buys THEN 'buy' ELSE 'sell' END || '|' || CASE WHEN auction THEN 'auction' ELSE '' END || '|' ||
  taker::text || '|' || maker::text || '|' || taker_order::text || '|' || maker_order::text || '|' || taker_fee::text || '|' ||
  maker_fee::text;

CREATE FUNCTION matching.movement_line(
  seq bigint, index int, account int, asset smallint, units bigint, ledger_seq bigint, client_order_id numeric
) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE RETURN
  seq::text || '|' || index::text || '|' || account::text || '|' || asset::text || '|' || units::text || '|' ||
  coalesce(ledger_seq::text, '') || '|' || coalesce(client_order_id::text, '');

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
    PERFORM matching.add_trade_partitions(v_no, 1);
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

-- The candles of a portion's trades: by minute first, and from those the longer ones.
CREATE FUNCTION matching.add_candles(
  p_engine smallint, t_seq bigint[], t_index int[], t_time_ms bigint[], t_market int[], t_price int[], t_lots bigint[]
) RETURNS void LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO matching.candle AS c (engine, market, interval_ms, start_ms, open, high, low, close, lots, value, trades, last_seq, last_index)
    SELECT p_engine, m.market, i.ms, m.start_ms - m.start_ms % i.ms, t_price[min(m.first)], max(m.high), min(m.low), t_price[max(m.last)],
           sum(m.lots), sum(m.value), sum(m.trades), t_seq[max(m.last)], t_index[max(m.last)]
      FROM (SELECT u.market, u.time_ms - u.time_ms % 60000 AS start_ms, min(u.n) AS first, max(u.n) AS last, max(u.price) AS high,
                   min(u.price) AS low, sum(u.lots) AS lots, sum(u.lots * u.price) AS value, count(*) AS trades
              FROM unnest(t_market, t_time_ms, t_price, t_lots) WITH ORDINALITY AS u (market, time_ms, price, lots, n)
             GROUP BY 1, 2) AS m
     CROSS JOIN unnest(matching.candle_intervals()) AS i (ms)
     GROUP BY m.market, i.ms, m.start_ms - m.start_ms % i.ms
  ON CONFLICT (engine, market, interval_ms, start_ms) DO UPDATE SET
    high = greatest(c.high, excluded.high), low = least(c.low, excluded.low), close = excluded.close, lots = c.lots + excluded.lots,
    value = c.value + excluded.value, trades = c.trades + excluded.trades, last_seq = excluded.last_seq, last_index = excluded.last_index;
$$;

-- Writes what a portion holds, if the engine's newest portion is p_after; returns the newest as it was. The transfers follow
-- in the same transaction. p_hash is what the settler computed and put into them.
CREATE FUNCTION matching.record_portion(
  p_engine smallint, p_after bigint, p_seq bigint, p_index int, p_hash bytea,
  t_seq bigint[], t_index int[], t_time_ms bigint[], t_market int[], t_price int[], t_lots bigint[], t_taker_buys boolean[],
  t_auction boolean[], t_taker int[], t_maker int[], t_taker_order bigint[], t_maker_order bigint[], t_taker_fee bigint[],
  t_maker_fee bigint[],
  m_seq bigint[], m_index int[], m_account int[], m_asset int[], m_units bigint[], m_ledger_seq bigint[], m_client_order_id numeric[],
  h_asset int[], h_charged numeric[], h_taken numeric[]
) RETURNS bigint LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_head matching.head%ROWTYPE; v_trades text; v_movements text; v_rows_hash bytea; v_hash bytea; v_credited bigint;
  v_last bigint; -- number of the newest trade
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
  v_last := v_head.trades + coalesce(cardinality(t_seq), 0);
  IF v_last > v_head.room THEN
    PERFORM matching.add_trade_partitions(p_engine, v_last); -- nobody made them ahead
  END IF;
  WITH entry AS MATERIALIZED (
    SELECT v_head.trades + u.n, u.seq, u.time_ms, u.price, u.taker, u.maker, u.index, u.lots, u.taker_order, u.maker_order, u.taker_fee,
           u.maker_fee, p_engine, u.market::smallint, u.taker_buys, u.auction
      FROM unnest(t_seq, t_index, t_time_ms, t_market, t_price, t_lots, t_taker_buys, t_auction, t_taker, t_maker, t_taker_order,
                  t_maker_order, t_taker_fee, t_maker_fee)
           WITH ORDINALITY AS u (seq, index, time_ms, market, price, lots, taker_buys, auction, taker, maker, taker_order, maker_order,
                                 taker_fee, maker_fee, n)
  ), written AS (
    INSERT INTO matching.trade SELECT * FROM entry RETURNING *
  )
  SELECT string_agg(matching.trade_line(w.number, w.seq, w.index, w.time_ms, w.market, w.price, w.lots, w.taker_buys, w.auction, w.taker, w.maker, w.taker_order, w.maker_order, w.taker_fee, w.maker_fee), E'\n' ORDER BY w.number) INTO v_trades FROM written AS w;
  WITH written AS (
    INSERT INTO matching.movement (engine, seq, index, portion, account, asset, units, ledger_seq, client_order_id)
      SELECT p_engine, u.seq, u.index, p_after + 1, u.account, u.asset, u.units, u.ledger_seq, u.client_order_id
        FROM unnest(m_seq, m_index, m_account, m_asset, m_units, m_ledger_seq, m_client_order_id)
             AS u (seq, index, account, asset, units, ledger_seq, client_order_id)
    RETURNING *
  )
  SELECT string_agg(matching.movement_line(w.seq, w.index, w.account, w.asset, w.units, w.ledger_seq, w.client_order_id), E'\n' ORDER BY w.seq, w.index), greatest(v_head.credited, max(w.ledger_seq))
    INTO v_movements, v_credited FROM written AS w;
  v_rows_hash := matching.lines_hash(coalesce(v_trades, '') || E'\n\n' || coalesce(v_movements, ''));
  v_hash := matching.portion_hash(v_head.hash, p_after + 1, p_seq, p_index, v_rows_hash);
  IF v_hash <> p_hash THEN
    RAISE EXCEPTION 'matching.record_portion: portion % of % has another hash than its transfers', p_after + 1, p_engine
      USING ERRCODE = 'MT004';
  END IF;
  IF v_last > v_head.trades THEN
    PERFORM matching.add_candles(p_engine, t_seq, t_index, t_time_ms, t_market, t_price, t_lots);
  END IF;
  INSERT INTO matching.portion VALUES (p_engine, p_after + 1, v_head.trades + 1, v_last, p_seq, p_index, v_credited, v_rows_hash, v_head.hash, v_hash);
  UPDATE matching.house AS h SET charged = h.charged + u.charged, taken = h.taken + u.taken
    FROM unnest(h_asset, h_charged, h_taken) AS u (asset, charged, taken) WHERE h.engine = p_engine AND h.asset = u.asset;
  UPDATE matching.head AS h SET portion = p_after + 1, trades = v_last, seq = p_seq,
    index = p_index, credited = v_credited, hash = v_hash WHERE h.engine = p_engine;
  RETURN p_after;
END $$;

CREATE FUNCTION matching.advance_fed(p_engine smallint, p_ledger_seq bigint, p_accounts int) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  UPDATE matching.fed AS f SET ledger_seq = greatest(f.ledger_seq, p_ledger_seq), accounts = greatest(f.accounts, p_accounts)
   WHERE f.engine = p_engine;
$$;

-- ---------------------------------------------------------------- reading
-- Two things cost nothing in a small table and much in a large one.
-- A statement that may look into any partition is planned for all of them, a millisecond for five: so a page is read partition by
-- partition from the newest, each named by its numbers, until it is full.
-- Asked for "the newest of this account" by equality and order, PostgreSQL guesses how often an account trades; for one that traded much
-- and left, it reads the trades of all others back to it. A row compared as a whole can only be found in the index of just these
-- columns; what follows there may be somebody else's, and is left out.

-- How many of the engine's trades are before this event, of all without one; so their numbers are this and below. Reads one portion's
-- trades at most.
CREATE FUNCTION matching.trades_before(p_engine smallint, p_seq bigint, p_index int) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE v_first bigint; v_last bigint; v_count bigint;
BEGIN
  SELECT p.first_trade, p.last_trade INTO v_first, v_last FROM matching.portion AS p
   WHERE p.engine = p_engine AND (p.seq, p.index) >= (p_seq, p_index) ORDER BY p.seq, p.index LIMIT 1;
  IF NOT FOUND THEN
    RETURN (SELECT h.trades FROM matching.head AS h WHERE h.engine = p_engine);
  END IF;
  EXECUTE 'SELECT count(*) FROM matching.trade AS t WHERE t.engine = $1 AND t.number BETWEEN $2 AND $3 AND (t.seq, t.index) < ($4, $5)'
    INTO v_count USING p_engine, v_first, v_last, p_seq, p_index;
  RETURN v_first - 1 + v_count;
END $$;

-- The newest p_limit trades of a market before an event.
CREATE FUNCTION matching.trades_of(p_engine smallint, p_market smallint, p_seq bigint, p_index int, p_limit int) RETURNS SETOF matching.trade
LANGUAGE plpgsql STABLE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
DECLARE v_upto CONSTANT bigint := matching.trades_before(p_engine, p_seq, p_index); v_left int := p_limit; v_rows int; r record;
BEGIN
  FOR r IN SELECT p.first_trade, p.last_trade FROM matching.trade_partition AS p
            WHERE p.engine = p_engine AND p.first_trade <= v_upto ORDER BY p.first_trade DESC LOOP
    RETURN QUERY EXECUTE $q$
      SELECT f.* FROM (
        SELECT t.* FROM matching.trade AS t
         WHERE t.engine = $1 AND t.number BETWEEN $3 AND $4 AND (t.engine, t.market, t.number) <= ($1, $2, $5)
         ORDER BY t.engine DESC, t.market DESC, t.number DESC LIMIT $6) AS f
       WHERE f.market = $2 ORDER BY f.number DESC
    $q$ USING p_engine, p_market, r.first_trade, r.last_trade, v_upto, v_left;
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    v_left := v_left - v_rows;
    EXIT WHEN v_left = 0;
  END LOOP;
END $$;

-- The newest p_limit trades of an account before an event, in one market or, without it, in all. Per partition: whether there is any,
-- because most have none of most accounts and this is a fifth of the planning; of all markets, those in which it traded, two looks into
-- the index for each; of each and either side as many numbers as may be needed; then the rows.
CREATE FUNCTION matching.fills_of(p_engine smallint, p_account int, p_market smallint, p_seq bigint, p_index int, p_limit int)
RETURNS SETOF matching.trade
LANGUAGE plpgsql STABLE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_upto CONSTANT bigint := matching.trades_before(p_engine, p_seq, p_index);
  v_left int := p_limit; v_rows int; v_any boolean; r record;
BEGIN
  FOR r IN SELECT p.first_trade, p.last_trade FROM matching.trade_partition AS p
            WHERE p.engine = p_engine AND p.first_trade <= v_upto ORDER BY p.first_trade DESC LOOP
    EXECUTE $q$
      SELECT $2 IN ((SELECT t.taker FROM matching.trade AS t
                      WHERE t.engine = $1 AND t.number BETWEEN $4 AND $5 AND (t.taker, t.engine, t.market, t.number) >= ($2, $1, $3, 0)
                      ORDER BY t.taker, t.engine, t.market, t.number LIMIT 1),
                    (SELECT t.maker FROM matching.trade AS t
                      WHERE t.engine = $1 AND t.number BETWEEN $4 AND $5 AND (t.maker, t.engine, t.market, t.number) >= ($2, $1, $3, 0)
                      ORDER BY t.maker, t.engine, t.market, t.number LIMIT 1))
    $q$ INTO v_any USING p_engine, p_account, coalesce(p_market, 0::smallint), r.first_trade, r.last_trade;
    CONTINUE WHEN v_any IS NOT TRUE;
    RETURN QUERY EXECUTE $q$
      WITH RECURSIVE market (no) AS (
        SELECT coalesce($3, -1::smallint)
        UNION ALL
        SELECT least(
                 (SELECT f.market FROM (
                    SELECT t.taker AS account, t.market FROM matching.trade AS t
                     WHERE t.engine = $1 AND t.number BETWEEN $4 AND $5
                       AND (t.taker, t.engine, t.market, t.number) > ($2, $1, m.no, 9223372036854775807)
                     ORDER BY t.taker, t.engine, t.market, t.number LIMIT 1) AS f WHERE f.account = $2),
                 (SELECT f.market FROM (
                    SELECT t.maker AS account, t.market FROM matching.trade AS t
                     WHERE t.engine = $1 AND t.number BETWEEN $4 AND $5
                       AND (t.maker, t.engine, t.market, t.number) > ($2, $1, m.no, 9223372036854775807)
                     ORDER BY t.maker, t.engine, t.market, t.number LIMIT 1) AS f WHERE f.account = $2))
          FROM market AS m WHERE m.no IS NOT NULL AND $3 IS NULL
      ), page AS (
        SELECT f.number
          FROM market AS m
         CROSS JOIN LATERAL (
           (SELECT t.taker AS account, t.market, t.number FROM matching.trade AS t
             WHERE t.engine = $1 AND t.number BETWEEN $4 AND $5 AND (t.taker, t.engine, t.market, t.number) <= ($2, $1, m.no, $6)
             ORDER BY t.taker DESC, t.engine DESC, t.market DESC, t.number DESC LIMIT $7)
           UNION ALL
           (SELECT t.maker, t.market, t.number FROM matching.trade AS t
             WHERE t.engine = $1 AND t.number BETWEEN $4 AND $5 AND (t.maker, t.engine, t.market, t.number) <= ($2, $1, m.no, $6)
             ORDER BY t.maker DESC, t.engine DESC, t.market DESC, t.number DESC LIMIT $7)) AS f
         WHERE m.no >= 0 AND f.account = $2 AND f.market = m.no
         ORDER BY f.number DESC LIMIT $7
      )
      SELECT t.* FROM page AS p JOIN matching.trade AS t ON t.engine = $1 AND t.number = p.number AND t.number BETWEEN $4 AND $5
       ORDER BY t.number DESC
    $q$ USING p_engine, p_account, p_market, r.first_trade, r.last_trade, v_upto, v_left;
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    v_left := v_left - v_rows;
    EXIT WHEN v_left = 0;
  END LOOP;
END $$;
