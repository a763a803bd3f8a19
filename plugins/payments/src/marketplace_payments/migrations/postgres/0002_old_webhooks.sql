CREATE INDEX webhooks_ended ON payments.webhooks (at) WHERE state <> 'received';
