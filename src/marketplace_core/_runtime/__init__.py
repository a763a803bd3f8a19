"""One process of a deployment: assembly, context, worker, serving, and what operators ask of it."""
