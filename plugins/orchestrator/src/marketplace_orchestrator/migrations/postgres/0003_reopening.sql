CREATE TABLE orchestrator.reopenings (saga_id text PRIMARY KEY);
