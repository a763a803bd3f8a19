"""What ``marketplace render`` writes: a module for each kind, each with ``render(facts)``, which gives texts by path."""
