-- What the engine knew alone until now. Rows of before are 'running' until the worker has looked there.
ALTER TABLE orchestrator.sagas
  ADD COLUMN status text NOT NULL DEFAULT 'running'
    CHECK (status IN ('running', 'done', 'refused', 'failed', 'cancelled')),
  ADD COLUMN steps jsonb NOT NULL DEFAULT '{}';
CREATE INDEX sagas_running ON orchestrator.sagas (id) WHERE status = 'running';
CREATE INDEX sagas_failed ON orchestrator.sagas (id) WHERE status = 'failed';

-- Signals that were told to a saga, which perhaps does not wait for them yet.
CREATE TABLE orchestrator.signals (
  saga_id text NOT NULL,
  signal text NOT NULL,
  key text NOT NULL,
  PRIMARY KEY (saga_id, signal, key));
ALTER TABLE orchestrator.waits ADD COLUMN heard boolean NOT NULL DEFAULT false;
