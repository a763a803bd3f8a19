-- The ledger of its own. Where payments kept it until now, in this very database, its tables move here with all that is in them.
DO $$
DECLARE kept text;
BEGIN
  FOREACH kept IN ARRAY ARRAY['ledger_sets', 'ledger', 'balances', 'sales', 'ledger_orders'] LOOP
    IF EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('payments.' || kept) AND relkind = 'r') THEN
      EXECUTE format('ALTER TABLE payments.%I SET SCHEMA payments_ledger', kept);
    END IF;
  END LOOP;
END $$;

CREATE TABLE IF NOT EXISTS payments_ledger.ledger_sets (
  id text COLLATE "C" PRIMARY KEY,
  order_id text COLLATE "C",
  package_id text COLLATE "C",
  at timestamptz NOT NULL);

CREATE TABLE IF NOT EXISTS payments_ledger.ledger (
  position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  set_id text COLLATE "C" NOT NULL REFERENCES payments_ledger.ledger_sets,
  account text COLLATE "C" NOT NULL,
  type text NOT NULL,
  currency text NOT NULL,
  amount bigint NOT NULL CHECK (amount <> 0),
  UNIQUE (set_id, account, type, currency));
CREATE INDEX IF NOT EXISTS ledger_account ON payments_ledger.ledger (account, position);

CREATE TABLE IF NOT EXISTS payments_ledger.balances (
  account text COLLATE "C" NOT NULL,
  currency text NOT NULL,
  amount bigint NOT NULL,
  PRIMARY KEY (account, currency)) WITH (fillfactor = 50);

CREATE TABLE IF NOT EXISTS payments_ledger.sales (
  set_id text COLLATE "C" PRIMARY KEY REFERENCES payments_ledger.ledger_sets,
  order_id text COLLATE "C" NOT NULL,
  package_id text COLLATE "C" NOT NULL,
  seller_id text COLLATE "C" NOT NULL,
  amount bigint NOT NULL,
  currency text NOT NULL,
  released boolean NOT NULL DEFAULT false);
CREATE INDEX IF NOT EXISTS sales_order ON payments_ledger.sales (order_id);

CREATE TABLE IF NOT EXISTS payments_ledger.ledger_orders (
  order_id text COLLATE "C" PRIMARY KEY,
  completed boolean NOT NULL DEFAULT false);

CREATE FUNCTION payments_ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the ledger is append-only';
END $$;
DROP TRIGGER IF EXISTS ledger_append_only ON payments_ledger.ledger;
CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payments_ledger.ledger
  FOR EACH STATEMENT EXECUTE FUNCTION payments_ledger.refuse_change();
DROP TRIGGER IF EXISTS ledger_sets_append_only ON payments_ledger.ledger_sets;
CREATE TRIGGER ledger_sets_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payments_ledger.ledger_sets
  FOR EACH STATEMENT EXECUTE FUNCTION payments_ledger.refuse_change();

CREATE FUNCTION payments_ledger.check_balanced() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM payments_ledger.ledger WHERE set_id = NEW.set_id GROUP BY currency HAVING sum(amount) <> 0) THEN
    RAISE EXCEPTION 'the entries of the set % do not sum to zero', NEW.set_id;
  END IF;
  RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS ledger_balanced ON payments_ledger.ledger;
CREATE CONSTRAINT TRIGGER ledger_balanced AFTER INSERT ON payments_ledger.ledger
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payments_ledger.check_balanced();

-- During an upgrade processes of the last release write to the tables by the names that they know.
DO $$
DECLARE kept text;
BEGIN
  IF to_regclass('payments.payments') IS NOT NULL THEN
    FOREACH kept IN ARRAY ARRAY['ledger_sets', 'ledger', 'balances', 'sales', 'ledger_orders'] LOOP
      EXECUTE format('CREATE OR REPLACE VIEW payments.%I AS SELECT * FROM payments_ledger.%I', kept, kept);
    END LOOP;
  END IF;
END $$;
