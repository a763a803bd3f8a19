"""What each table of the file may hold. Every field has a default, so that one bad field does not hide the others."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from marketplace_core.codes import Currency
from marketplace_core.deployment._limits import LimitsTable
from marketplace_core.pictures.values import PictureSizes

__all__ = ["DeploymentTable", "GatewayTable", "PluginTable", "ServiceTable", "SimulatorTable"]

NAME = r"^[a-z][a-z0-9_-]{0,39}$"

Name = Annotated[str, Meta(pattern=NAME, description="use small letters, digits, - and _, beginning with a letter")]


class DeploymentTable(Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(pattern=r"^[A-Za-z][\w.-]{0,39}\Z", description="use letters, digits, - and _")] | None = None
    profile: Literal["embedded", "test", "production"] = "production"
    currency: Annotated[Currency, Meta(description='write the code of ISO 4217, as "EUR"')] | None = None
    tax_included: bool = True
    clock: Literal["system", "movable"] = "system"
    secret: str | None = None
    former_secret: str | None = None
    time_zone: str = "UTC"
    trusted_proxies: list[str] = []
    on: dict[str, str] = {}
    hook_seconds: Annotated[float, Meta(gt=0, le=300, description="give seconds above 0, 300 at most")] = 5.0
    trace_hooks: bool = False
    trace_sample: Annotated[float, Meta(ge=0, le=1, description="give a share, 0 to 1")] | None = None
    trace_to: (
        Annotated[
            str, Meta(pattern="^(https?://.|folder:.|env:.)", description='write "http://collector:4318", or "folder:traces"')
        ]
        | None
    ) = None


class PluginTable(Struct):
    """The plugin's own settings stand beside these. ``optional``: it is left out where it, or what its ``on`` needs, is
    not installed."""

    store: str | None = None
    on: dict[str, str] = {}
    pick: bool = False
    optional: bool = False


class ServiceTable(Struct, forbid_unknown_fields=True):
    plugins: Annotated[list[str], Meta(min_length=1, description="list at least one plugin")] | None = None
    internal: str | None = None
    address: str | None = None
    replicas: Annotated[int, Meta(ge=1, le=1000, description="give 1 or more")] = 1
    workers: dict[str, list[str]] = field(default_factory=lambda: {"worker": ["*"]})


class GatewayTable(Struct, forbid_unknown_fields=True):
    audience: Literal["buyer", "seller", "logistics", "admin"] | None = None
    audiences: list[Literal["buyer", "seller", "logistics", "admin"]] | None = None
    listen: str | None = None
    service: str | None = None
    replicas: Annotated[int, Meta(ge=1, le=1000, description="give 1 or more")] = 1


class SimulatorTable(Struct, forbid_unknown_fields=True):
    listen: str | None = None


class ResourceTable(Struct):
    """What its kind of server allows stands beside these."""

    url: str | None = None
    kind: str | None = None


SECTIONS: dict[str, Any] = {
    "deployment": DeploymentTable,
    "limits": LimitsTable,
    "pictures": PictureSizes,
    "resources": ResourceTable,
    "plugins": PluginTable,
    "services": ServiceTable,
    "gateways": GatewayTable,
    "simulators": SimulatorTable,
    "edge": None,
}
