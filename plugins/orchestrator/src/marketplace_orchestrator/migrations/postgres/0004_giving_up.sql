ALTER TABLE orchestrator.sagas ADD COLUMN given_up boolean NOT NULL DEFAULT false;
