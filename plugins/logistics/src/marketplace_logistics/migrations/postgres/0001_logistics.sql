CREATE TABLE logistics.shipments (
  id text COLLATE "C" PRIMARY KEY,
  order_id text COLLATE "C" NOT NULL,
  package_id text COLLATE "C" NOT NULL,
  seller_id text COLLATE "C" NOT NULL,
  carrier text COLLATE "C" NOT NULL,
  service text NOT NULL,
  status text NOT NULL,
  own boolean NOT NULL,
  tracking_number text COLLATE "C",
  tracking_token text COLLATE "C" NOT NULL UNIQUE,
  document jsonb NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  polled_at timestamptz);
CREATE UNIQUE INDEX shipments_tracking_number ON logistics.shipments (carrier, tracking_number) WHERE NOT own;
CREATE INDEX shipments_carrier ON logistics.shipments (carrier, created_at, id);
CREATE INDEX shipments_under_way ON logistics.shipments (polled_at NULLS FIRST, id)
  WHERE NOT own AND tracking_number IS NOT NULL AND status IN ('label_created', 'in_transit', 'out_for_delivery', 'exception');

CREATE TABLE logistics.tracking_events (
  shipment_id text COLLATE "C" NOT NULL REFERENCES logistics.shipments,
  occurred_at timestamptz NOT NULL,
  code text NOT NULL,
  location text NOT NULL,
  source text NOT NULL,
  PRIMARY KEY (shipment_id, occurred_at, code, location));

CREATE TABLE logistics.webhooks (
  carrier text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  state text NOT NULL,
  tracking_number text,
  event jsonb,
  body bytea NOT NULL,
  received_at timestamptz NOT NULL,
  PRIMARY KEY (carrier, id));
