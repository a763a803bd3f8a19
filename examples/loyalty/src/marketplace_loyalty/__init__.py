"""A price rule of a third party: who has bought and received much pays less."""
