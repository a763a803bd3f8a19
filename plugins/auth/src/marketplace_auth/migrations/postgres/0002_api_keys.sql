-- A key is known by its digest only. What is revoked stays for a while, for who revokes again.
CREATE TABLE auth.api_keys (
  id text COLLATE "C" PRIMARY KEY,
  digest text COLLATE "C" NOT NULL CONSTRAINT api_keys_digest UNIQUE,
  account_id text COLLATE "C" NOT NULL REFERENCES auth.accounts ON DELETE CASCADE,
  audience text NOT NULL,
  name text NOT NULL,
  scopes text[] NOT NULL,
  seller_id text COLLATE "C",
  carrier text COLLATE "C",
  last4 text NOT NULL,
  created_at timestamptz NOT NULL,
  revoked_at timestamptz);
CREATE INDEX api_keys_account ON auth.api_keys (account_id);
CREATE INDEX api_keys_newest ON auth.api_keys (created_at, id) WHERE revoked_at IS NULL;
CREATE INDEX api_keys_seller ON auth.api_keys (seller_id, created_at, id) WHERE revoked_at IS NULL;
CREATE INDEX api_keys_carrier ON auth.api_keys (carrier, created_at, id) WHERE revoked_at IS NULL;
CREATE INDEX api_keys_revoked ON auth.api_keys (revoked_at) WHERE revoked_at IS NOT NULL;
