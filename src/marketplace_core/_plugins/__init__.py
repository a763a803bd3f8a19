"""Plugins: found, checked and described."""
