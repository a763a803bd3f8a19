"""What moderation finds by itself. A check is a pure function of a batch of submissions and of what it compares them with."""
