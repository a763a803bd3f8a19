-- A version of some content each; the document is the whole of it, with what is searched and sorted beside it.
CREATE TABLE moderation.items (
  id text COLLATE "C" PRIMARY KEY,
  kind text COLLATE "C" NOT NULL,
  subject_id text COLLATE "C" NOT NULL,
  version int NOT NULL,
  state text NOT NULL CHECK (state IN ('open', 'decided', 'appealed', 'superseded')),
  author_id text COLLATE "C",
  seller_id text COLLATE "C",
  claimed_until timestamptz,
  since timestamptz NOT NULL,
  created_at timestamptz NOT NULL,
  document jsonb NOT NULL,
  UNIQUE (kind, subject_id, version));
CREATE INDEX items_waiting ON moderation.items (since, id) WHERE state IN ('open', 'appealed');
CREATE INDEX items_waiting_kind ON moderation.items (kind, since, id) WHERE state IN ('open', 'appealed');
CREATE INDEX items_decided ON moderation.items (since, id) WHERE state = 'decided';
CREATE INDEX items_decided_kind ON moderation.items (kind, since, id) WHERE state = 'decided';
CREATE INDEX items_author ON moderation.items (author_id, created_at, id) WHERE author_id IS NOT NULL;
CREATE INDEX items_seller ON moderation.items (seller_id, created_at, id) WHERE seller_id IS NOT NULL;

-- What was decided, by whom and why: written once. Each entry's hash is of it and of the hash before.
CREATE TABLE moderation.audit (
  number bigint PRIMARY KEY,
  entry text NOT NULL,
  hash text NOT NULL);

-- The last entry. Who holds this row writes the next.
CREATE TABLE moderation.audit_head (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  number bigint NOT NULL,
  hash text NOT NULL);
INSERT INTO moderation.audit_head (number, hash) VALUES (0, '');

CREATE FUNCTION moderation.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the audit of moderation is only added to' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER audit_is_kept BEFORE UPDATE OR DELETE ON moderation.audit
  FOR EACH ROW EXECUTE FUNCTION moderation.refuse();
CREATE TRIGGER audit_is_not_emptied BEFORE TRUNCATE ON moderation.audit
  FOR EACH STATEMENT EXECUTE FUNCTION moderation.refuse();
CREATE TRIGGER head_is_kept BEFORE DELETE ON moderation.audit_head
  FOR EACH ROW EXECUTE FUNCTION moderation.refuse();
CREATE TRIGGER head_is_not_emptied BEFORE TRUNCATE ON moderation.audit_head
  FOR EACH STATEMENT EXECUTE FUNCTION moderation.refuse();
CREATE TRIGGER head_goes_forward BEFORE UPDATE ON moderation.audit_head
  FOR EACH ROW WHEN (NEW.number <= OLD.number) EXECUTE FUNCTION moderation.refuse();

-- What texts and pictures are like, to find others that are like them.
CREATE TABLE moderation.texts (
  subject text COLLATE "C" PRIMARY KEY,
  owner text COLLATE "C" NOT NULL,
  signature bytea NOT NULL,
  bands bigint[] NOT NULL);
CREATE INDEX texts_bands ON moderation.texts USING gin (bands);

CREATE TABLE moderation.pictures (
  subject text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  owner text COLLATE "C" NOT NULL,
  hash bigint NOT NULL,
  bands int[] NOT NULL,
  PRIMARY KEY (subject, key));
CREATE INDEX pictures_bands ON moderation.pictures USING gin (bands);

-- How many prices there are of a category, by steps of a fifth: what a price is compared with costs the same however many.
CREATE TABLE moderation.priced (
  subject text COLLATE "C" PRIMARY KEY,
  category_id text COLLATE "C" NOT NULL,
  currency text COLLATE "C" NOT NULL,
  step int NOT NULL);
CREATE TABLE moderation.prices (
  category_id text COLLATE "C" NOT NULL,
  currency text COLLATE "C" NOT NULL,
  step int NOT NULL,
  count int NOT NULL CHECK (count >= 0),
  PRIMARY KEY (category_id, currency, step))
  WITH (fillfactor = 80);

-- What the classifier has learnt; the latest is used.
CREATE TABLE moderation.models (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  created_at timestamptz NOT NULL,
  body bytea NOT NULL);
