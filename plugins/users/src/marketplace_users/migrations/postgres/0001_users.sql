CREATE TABLE users.profiles (
  account_id text COLLATE "C" PRIMARY KEY,
  email text NOT NULL,
  name text NOT NULL,
  locale text,
  preferences jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL);

-- An address may be there before the profile is, so it does not refer to it. Positions count per account.
CREATE TABLE users.addresses (
  id text COLLATE "C" PRIMARY KEY,
  account_id text COLLATE "C" NOT NULL,
  position bigint NOT NULL,
  name text NOT NULL,
  line1 text NOT NULL,
  line2 text NOT NULL,
  city text NOT NULL,
  region text NOT NULL,
  postal_code text NOT NULL,
  country text NOT NULL,
  phone text NOT NULL,
  UNIQUE (account_id, position));
