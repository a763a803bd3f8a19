-- A document per order of an account: its parcels, what has arrived, what of it is counted.
CREATE TABLE loyalty.purchases (
  order_id text COLLATE "C" PRIMARY KEY,
  document jsonb NOT NULL DEFAULT '{}');

-- What each account has bought and received, in minor units.
CREATE TABLE loyalty.accounts (
  account_id text COLLATE "C" NOT NULL,
  currency text COLLATE "C" NOT NULL,
  spent bigint NOT NULL,
  PRIMARY KEY (account_id, currency));
