CREATE TABLE orchestrator.sagas (
  id text PRIMARY KEY,
  name text NOT NULL,
  version int NOT NULL,
  key text NOT NULL,
  started_at timestamptz NOT NULL);
CREATE INDEX sagas_started ON orchestrator.sagas (started_at, id);
CREATE INDEX sagas_key ON orchestrator.sagas (key);

CREATE TABLE orchestrator.waits (
  saga_id text NOT NULL,
  signal text NOT NULL,
  number int NOT NULL,
  due_at timestamptz NOT NULL,
  state text NOT NULL CHECK (state IN ('waiting', 'signalled', 'over')),
  PRIMARY KEY (saga_id, signal, number));
CREATE INDEX waits_due ON orchestrator.waits (due_at) WHERE state <> 'over';

CREATE TABLE orchestrator.parked (
  saga_id text PRIMARY KEY,
  step text NOT NULL,
  failure jsonb NOT NULL,
  at timestamptz NOT NULL,
  retry_requested boolean NOT NULL DEFAULT false);

CREATE TABLE orchestrator.tries (
  saga_id text NOT NULL,
  step text NOT NULL,
  attempts int NOT NULL,
  error text NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (saga_id, step));
