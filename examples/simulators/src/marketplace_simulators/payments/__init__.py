"""A payment gateway: cards, 3-D Secure, captures, refunds and transfers, and a ledger of what happened."""
