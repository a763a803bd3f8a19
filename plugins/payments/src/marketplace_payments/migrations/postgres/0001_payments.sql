CREATE TABLE payments.payments (
  id text COLLATE "C" PRIMARY KEY,
  order_id text COLLATE "C" NOT NULL UNIQUE,
  gateway text NOT NULL,
  gateway_id text COLLATE "C",
  status text NOT NULL,
  document jsonb NOT NULL,
  ask_at timestamptz,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL);
CREATE UNIQUE INDEX payments_gateway ON payments.payments (gateway, gateway_id);
CREATE INDEX payments_ask ON payments.payments (ask_at) WHERE ask_at IS NOT NULL;

CREATE TABLE payments.operations (
  id text COLLATE "C" PRIMARY KEY,
  payment_id text COLLATE "C" NOT NULL REFERENCES payments.payments,
  order_id text COLLATE "C" NOT NULL,
  kind text NOT NULL,
  amount bigint NOT NULL,
  currency text NOT NULL,
  key text COLLATE "C" NOT NULL UNIQUE,
  status text NOT NULL,
  gateway_id text,
  attempts int NOT NULL DEFAULT 0,
  failure text,
  sale jsonb,
  at timestamptz NOT NULL);
CREATE INDEX operations_payment ON payments.operations (payment_id);

CREATE TABLE payments.webhooks (
  gateway text NOT NULL,
  id text COLLATE "C" NOT NULL,
  payment_id text COLLATE "C",
  event jsonb NOT NULL,
  body text NOT NULL,
  state text NOT NULL,
  note text,
  at timestamptz NOT NULL,
  PRIMARY KEY (gateway, id));

CREATE TABLE payments.ledger_sets (
  id text COLLATE "C" PRIMARY KEY,
  order_id text COLLATE "C",
  package_id text COLLATE "C",
  at timestamptz NOT NULL);

CREATE TABLE payments.ledger (
  position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  set_id text COLLATE "C" NOT NULL REFERENCES payments.ledger_sets,
  account text COLLATE "C" NOT NULL,
  type text NOT NULL,
  currency text NOT NULL,
  amount bigint NOT NULL CHECK (amount <> 0),
  UNIQUE (set_id, account, type, currency));
CREATE INDEX ledger_account ON payments.ledger (account, position);

CREATE TABLE payments.balances (
  account text COLLATE "C" NOT NULL,
  currency text NOT NULL,
  amount bigint NOT NULL,
  PRIMARY KEY (account, currency)) WITH (fillfactor = 50);

CREATE TABLE payments.sales (
  set_id text COLLATE "C" PRIMARY KEY REFERENCES payments.ledger_sets,
  order_id text COLLATE "C" NOT NULL,
  package_id text COLLATE "C" NOT NULL,
  seller_id text COLLATE "C" NOT NULL,
  amount bigint NOT NULL,
  currency text NOT NULL,
  released boolean NOT NULL DEFAULT false);
CREATE INDEX sales_order ON payments.sales (order_id);

CREATE TABLE payments.ledger_orders (
  order_id text COLLATE "C" PRIMARY KEY,
  completed boolean NOT NULL DEFAULT false);

CREATE FUNCTION payments.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the ledger is append-only';
END $$;
CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payments.ledger
  FOR EACH STATEMENT EXECUTE FUNCTION payments.refuse_change();
CREATE TRIGGER ledger_sets_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payments.ledger_sets
  FOR EACH STATEMENT EXECUTE FUNCTION payments.refuse_change();

CREATE FUNCTION payments.check_balanced() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM payments.ledger WHERE set_id = NEW.set_id GROUP BY currency HAVING sum(amount) <> 0) THEN
    RAISE EXCEPTION 'the entries of the set % do not sum to zero', NEW.set_id;
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER ledger_balanced AFTER INSERT ON payments.ledger
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payments.check_balanced();
