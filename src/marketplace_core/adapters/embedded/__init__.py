"""Real PostgreSQL and Redis servers out of wheels, as children of ours, with their data in one folder."""

from marketplace_core.adapters.embedded._errors import EmbeddedError
from marketplace_core.adapters.embedded.folder import FORMAT, DataFolder
from marketplace_core.adapters.embedded.postgres import EmbeddedPostgres
from marketplace_core.adapters.embedded.redis import EmbeddedRedis, Role

__all__ = ["FORMAT", "DataFolder", "EmbeddedError", "EmbeddedPostgres", "EmbeddedRedis", "Role"]
