"""Files that become products."""
