"""Events of other services about orders."""

from typing import Any
from uuid import uuid4

from chassis.json import encode


def data_of(type: str, uid: object) -> dict[str, Any]:
    """The data of another service's event about an order."""
    if type in ("bill.recorded", "bill.voided"):
        return {
            **{"id": str(uid), "user_id": "1", "number_of_items": 3, "total_amount": 39.98},
            **{"order_id": "A", "created_at": "2026-01-01T00:00:00Z", "voided_at": None},
        }
    if type == "stock.rejected":
        short = {"product_id": 1, "name": "The Matrix, DVD", "asked": 2, "available": 1}
        reason = "short of The Matrix, DVD: 2 asked, 1 available"
        return {"uid": str(uid), "order_id": "A", "reason": reason, "short": [short]}
    return {"uid": str(uid), "order_id": "A", "lines": [{"product_id": 1, "quantity": 2}]}


def body_of(type: str, uid: object, event_id: str | None = None) -> bytes:
    """An event of another service."""
    event_id = event_id or str(uuid4())
    told = {"specversion": "1.0", "id": event_id, "type": type, "source": "another"}
    return encode({**told, "time": "2026-01-01T00:00:00Z", "data": data_of(type, uid)})
