-- What shoppers see of a product, from the catalogue's events. heat: the binary logarithm of all signals, decay included.
CREATE TABLE recommendations.products (
  id text COLLATE "C" PRIMARY KEY,
  seller_id text COLLATE "C" NOT NULL,
  category_id text COLLATE "C",
  category_path text[] NOT NULL DEFAULT '{}',
  title text NOT NULL,
  card text NOT NULL,
  available jsonb NOT NULL,
  shown boolean NOT NULL,
  buyable boolean NOT NULL,
  heat double precision,
  since timestamptz NOT NULL,
  sequence bigint NOT NULL,
  writer text NOT NULL);
CREATE INDEX products_available ON recommendations.products USING gin (available);
CREATE INDEX products_category ON recommendations.products (category_id, heat DESC NULLS LAST, since DESC) WHERE buyable;
CREATE INDEX products_heat ON recommendations.products (heat DESC NULLS LAST, since DESC) WHERE buyable;

-- Sellers that we have heard of; of others nothing is known against selling.
CREATE TABLE recommendations.sellers (
  id text COLLATE "C" PRIMARY KEY,
  active boolean NOT NULL,
  version bigint NOT NULL);

CREATE TABLE recommendations.signals (
  event_id text COLLATE "C" NOT NULL,
  position int NOT NULL,
  person text COLLATE "C",
  product_id text COLLATE "C" NOT NULL,
  kind text NOT NULL,
  source text,
  at timestamptz NOT NULL,
  PRIMARY KEY (event_id, position));
CREATE INDEX signals_person ON recommendations.signals (person, at DESC) WHERE person IS NOT NULL;
CREATE INDEX signals_at ON recommendations.signals (kind, at);

-- People of whom nothing may be known: for as long as they say so, or because they were erased.
CREATE TABLE recommendations.unknown (
  person text COLLATE "C" PRIMARY KEY,
  erased boolean NOT NULL);

-- The trained model: what is like a product. Only one generation is read.
CREATE TABLE recommendations.models (
  generation bigint PRIMARY KEY,
  trained_at timestamptz NOT NULL,
  figures jsonb NOT NULL,
  current boolean NOT NULL);
CREATE UNIQUE INDEX models_current ON recommendations.models (current) WHERE current;
CREATE TABLE recommendations.neighbours (
  generation bigint NOT NULL,
  product_id text COLLATE "C" NOT NULL,
  neighbours text NOT NULL,
  again boolean NOT NULL,
  PRIMARY KEY (generation, product_id));
