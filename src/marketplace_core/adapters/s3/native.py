"""MinIO by ``go install``: an S3 server on this machine."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from marketplace_core._supervisor.ports import answers
from marketplace_core.adapters.native.installed import InstalledServer
from marketplace_core.adapters.native.programs import Go

__all__ = ["MINIO", "EmbeddedMinio"]

MINIO = Go("minio", "v0.0.0-20260212201848-7aac2a2c5b7c", module="github.com/minio/minio")


class EmbeddedMinio(InstalledServer):
    """Who may read the data folder has its password."""

    _title, _process = "MinIO", "minio"
    program, name = MINIO, "minio"

    def url(self, bucket: str) -> str:
        """Of a bucket, whether it is there or not."""
        return f"s3+http://marketplace:{quote(self._password, safe='')}@{self.address}/{bucket}"

    @property
    def _password(self) -> str:
        return (self._files / "password").read_text()

    def _command(self) -> Sequence[str | Path]:
        return [MINIO.binary, "server", "--quiet", "--address", self.address, self._files / "data"]

    def _environment(self) -> Mapping[str, str]:
        if not (self._files / "password").exists():
            (self._files / "password").write_text(secrets.token_hex(16))
        return {
            "MINIO_ROOT_USER": "marketplace",
            "MINIO_ROOT_PASSWORD": self._password,
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",
            "HOME": str(self._files),
        }

    async def _ready(self) -> bool:
        return await answers(self.address, "/minio/health/ready")()
