"""How strong the deployment's secret is."""

from __future__ import annotations

from marketplace_core.deployment._model import Deployment
from marketplace_core.deployment._problems import Problems
from marketplace_core.deployment._references import MissingReference, is_reference, resolve

__all__ = ["KEYS", "check_secrets"]

#: The environment variable that names the keys of one process, which needs no root secret then.
KEYS = "MARKETPLACE_KEYS"

SHORTEST = 32
BITS = 128
#: What zxcvbn looks at: the rest only adds to it.
LOOKED_AT = 72
MAKE = "make one by: openssl rand -base64 48"


def check_secrets(deployment: Deployment, problems: Problems) -> None:
    """Those that are there; that one is not is told with the other references."""
    for field, value in (("secret", deployment.secret), ("former_secret", deployment.former_secret)):
        if value is None or not is_reference(value):
            continue
        try:
            found = resolve(value, deployment.file.parent)
        except MissingReference:
            continue
        if (cause := weakness(found)) is not None:
            problems.add(f"deployment.{field}", f"{value} {cause}", MAKE)


def weakness(secret: str) -> str | None:
    """What is wrong with it, never said with a part of it."""
    if len(secret) < SHORTEST:
        return f"has fewer than {SHORTEST} characters"
    from zxcvbn import zxcvbn  # noqa: PLC0415 - its lists of words take 13 MB

    if int(zxcvbn(secret[:LOOKED_AT])["guesses"]) < 1 << BITS:
        return f"can be guessed: it is worth less than {BITS} bits"
    return None
