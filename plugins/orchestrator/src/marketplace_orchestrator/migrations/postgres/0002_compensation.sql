ALTER TABLE orchestrator.waits DROP CONSTRAINT waits_state_check;
ALTER TABLE orchestrator.waits ADD CONSTRAINT waits_state_check
  CHECK (state IN ('waiting', 'signalled', 'giving_up', 'given_up', 'over'));

ALTER TABLE orchestrator.parked
  ADD COLUMN decision text CHECK (decision IN ('retry', 'compensate')),
  ADD COLUMN told boolean NOT NULL DEFAULT false;
UPDATE orchestrator.parked SET decision = 'retry' WHERE retry_requested;
ALTER TABLE orchestrator.parked DROP COLUMN retry_requested;
CREATE INDEX parked_decided ON orchestrator.parked (saga_id) WHERE decision IS NOT NULL AND NOT told;
CREATE INDEX waits_giving_up ON orchestrator.waits (saga_id) WHERE state = 'giving_up';
