"""Reading a deployment file, in parts; the public face is :mod:`marketplace_core.deployment`."""
