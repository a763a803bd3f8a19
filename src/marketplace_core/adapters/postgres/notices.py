"""The place of these before other databases told of parked keys, too."""

from marketplace_core.adapters._notices import PARKED_CHANNEL, Notices

__all__ = ["PARKED_CHANNEL", "Notices"]
