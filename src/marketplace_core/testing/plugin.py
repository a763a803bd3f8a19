"""The pytest plugin (entry point ``marketplace``)."""

from __future__ import annotations
