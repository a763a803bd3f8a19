"""By whom a parcel is sent: who names a carrier of ours has it sent by that one, who gives a number sends it by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from marketplace_core.capabilities.orders import ShipRequest
from marketplace_core.errors import Invalid, Problem

__all__ = ["Way", "way"]

#: What logistics calls the carrier of what sellers deliver themselves.
OWN = "own"


class Way(NamedTuple):
    """None: as the buyer chose."""

    carrier: str | None
    service: str | None


def way(request: ShipRequest, carriers: Sequence[str]) -> Way:
    """``carriers``: those that are asked for parcels, whose numbers are theirs to give.

    :raises Invalid: a number of the seller's own under the name of one of them.
    """
    if request.tracking_number is None:
        return Way(request.carrier, request.service)
    if request.carrier is not None and _plain(request.carrier) in map(_plain, carriers):
        detail = "This carrier gives its numbers itself; leave it out, or name the one that you send it by."
        raise Invalid([Problem("/tracking_number", "unknown_value", detail)])
    return Way(request.carrier or OWN, request.service or "standard")


def _plain(name: str) -> str:
    return name.strip().casefold()
