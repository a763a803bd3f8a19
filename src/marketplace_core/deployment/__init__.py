"""The deployment file: one TOML file says which plugins run, on which servers, in which processes.

:func:`load` reads it in three passes (TOML, the shape of each section, what the sections mean together) and reports
every problem at once. No server is touched.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from marketplace_core._runtime.lazy import lazily
from marketplace_core.deployment._edge import Edge, Front
from marketplace_core.deployment._limits import Limits, Rate
from marketplace_core.deployment._model import ROLES, Deployment, Gateway, PluginEntry, Resource, Service, Simulator
from marketplace_core.deployment._problems import DeploymentErrors, DeploymentProblem
from marketplace_core.deployment._references import MissingReference

if TYPE_CHECKING:
    from marketplace_core.deployment._loading import Loaded, load, load_all, outline

__all__ = [
    "DEFAULT_FILE",
    "ROLES",
    "Deployment",
    "DeploymentErrors",
    "DeploymentProblem",
    "Edge",
    "Front",
    "Gateway",
    "Limits",
    "Loaded",
    "MissingReference",
    "PluginEntry",
    "Rate",
    "Resource",
    "Service",
    "Simulator",
    "load",
    "load_all",
    "outline",
]

#: The embedded deployment, which is meant where a command is given no file.
DEFAULT_FILE = Path(__file__).parents[1] / "embedded.toml"


#: What reads a file knows of plugins, which know of what is above: it is imported when it is first asked for.
__getattr__ = lazily(__name__, dict.fromkeys(("Loaded", "load", "load_all", "outline"), "_loading"))
