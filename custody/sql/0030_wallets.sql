-- Wallets as the co-signers state them, and the addresses we have given out. Nothing here is an authority: a root is
-- verified against the committee file whenever it is loaded, and an address is recomputed from it whenever it is used.
CREATE SCHEMA custody;

CREATE TABLE custody.wallet (
  id         text PRIMARY KEY CHECK (id ~ '^wal_'),
  vault      text NOT NULL CHECK (vault <> ''),
  tier       text NOT NULL CHECK (tier IN ('hot', 'warm', 'cold')),
  -- CAIP-2
  chain      text NOT NULL CHECK (chain <> ''),
  created_at timestamptz NOT NULL DEFAULT now()
);

-- The acknowledgements of a finished key ceremony, kept before the first share is activated: with them the activation can
-- be completed at co-signers that missed it.
CREATE TABLE custody.key_ceremony (
  wallet_id  text PRIMARY KEY REFERENCES custody.wallet,
  epoch      integer NOT NULL CHECK (epoch >= 0),
  acks       jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE custody.key_statement (
  wallet_id  text NOT NULL REFERENCES custody.wallet,
  epoch      integer NOT NULL CHECK (epoch >= 0),
  party      integer NOT NULL CHECK (party BETWEEN 1 AND 255),
  statement  jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (wallet_id, epoch, party)
);

-- Over all wallets and outside transactions: an index that was drawn is never drawn again, also after a rollback.
-- BIP32 keeps indexes from 2^31 for hardened children.
CREATE SEQUENCE custody.deposit_index AS integer MINVALUE 0 MAXVALUE 2147483647 START 0 NO CYCLE;

CREATE TABLE custody.address (
  chain      text NOT NULL CHECK (chain <> ''),
  -- Canonical form
  address    text NOT NULL CHECK (address <> ''),
  wallet_id  text NOT NULL REFERENCES custody.wallet,
  epoch      integer NOT NULL CHECK (epoch >= 0),
  -- Below the wallet's root: m/1/0 hot, m/0/i deposit
  path       text NOT NULL,
  -- The customer account of a deposit address; the hot address has none.
  account_id text CHECK (account_id ~ '^acc_'),
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (chain, address),
  UNIQUE (wallet_id, path),
  CHECK ((account_id IS NULL) = (path = 'm/1/0'))
);
CREATE UNIQUE INDEX address_of_account ON custody.address (wallet_id, account_id) WHERE account_id IS NOT NULL;
