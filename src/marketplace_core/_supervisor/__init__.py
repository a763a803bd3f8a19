"""``marketplace up``: everything of a deployment on this machine, as children that live and end with it."""
