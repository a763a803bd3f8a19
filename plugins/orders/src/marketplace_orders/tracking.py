"""What logistics tells of a package's parcels, taken over. Pure."""

from __future__ import annotations

from marketplace_orders import domain

__all__ = ["brought_back", "track"]

#: how far a shipment is; its status never goes back
TRACKING = ("pending", "label_created", "in_transit", "out_for_delivery", "delivered", "returned")


def track(package: domain.Package, told: domain.Shipment) -> bool:
    """Take over what logistics tells of one of the package's parcels; gives whether the package is delivered by it.

    A status never goes back. An exception is shown until the parcel goes on, and not once it has arrived. Units of a parcel
    that came back to the seller are returned.
    """
    before = package.status
    back = brought_back(package, told.id, told.status)
    units = back.items if back is not None else {}
    for index, known in enumerate(package.shipments):
        if known.id == told.id:
            told.status = _status(known, told.status)
            package.shipments[index] = told
    for line in package.items:
        line.returned += units.get(line.id, 0)
    package.status = domain.package_status(package)
    return package.status == "delivered" and before != "delivered"


def brought_back(package: domain.Package, shipment_id: str, status: str) -> domain.Shipment | None:
    """The parcel, where it comes back to the seller by this status, which is told of it and not taken over yet."""
    came = status == "returned"
    return next((known for known in package.shipments if came and known.id == shipment_id and known.status != "returned"), None)


def _status(known: domain.Shipment, status: str) -> str:
    passed = [known.status, *(event.code for event in known.events)]
    reached = max((TRACKING.index(code) for code in passed if code in TRACKING), default=0)
    if status == "exception":
        return known.status if reached >= TRACKING.index("delivered") else status
    return status if TRACKING.index(status) >= reached else known.status
