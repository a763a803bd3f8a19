"""Real PostgreSQL and Redis servers out of wheels, as children of ours, with their data in one folder."""

from marketplace_core.adapters.native.errors import EmbeddedError
from marketplace_core.adapters.native.folder import FORMAT, DataFolder
from marketplace_core.adapters.postgres.native import EmbeddedPostgres
from marketplace_core.adapters.redis.native import EmbeddedRedis, Role

__all__ = ["FORMAT", "DataFolder", "EmbeddedError", "EmbeddedPostgres", "EmbeddedRedis", "Role"]
