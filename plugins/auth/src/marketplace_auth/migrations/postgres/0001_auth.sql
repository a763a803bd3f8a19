CREATE TABLE auth.accounts (
  id text COLLATE "C" PRIMARY KEY,
  email text NOT NULL,
  email_normal text COLLATE "C" NOT NULL CONSTRAINT accounts_email UNIQUE,
  email_verified boolean NOT NULL DEFAULT false,
  name text NOT NULL,
  password_hash text NOT NULL,
  roles text[] NOT NULL DEFAULT '{}',
  disabled boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL);
CREATE INDEX accounts_newest ON auth.accounts (created_at, id);

-- A refresh changes no column of an index, so that its row version stays on its page.
CREATE TABLE auth.sessions (
  id text COLLATE "C" PRIMARY KEY,
  account_id text COLLATE "C" NOT NULL REFERENCES auth.accounts ON DELETE CASCADE,
  audience text NOT NULL,
  refresh_digest bytea NOT NULL,
  user_agent text NOT NULL,
  created_at timestamptz NOT NULL,
  last_used_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  ended_at timestamptz)
  WITH (fillfactor = 80);
CREATE INDEX sessions_account ON auth.sessions (account_id, created_at, id);

CREATE TABLE auth.login_failures (
  email_digest bytea PRIMARY KEY,
  failures int NOT NULL,
  last_at timestamptz NOT NULL);
