CREATE INDEX webhooks_ended ON logistics.webhooks (received_at) WHERE state <> 'accepted';
