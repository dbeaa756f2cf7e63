"""Values that have to be unique: Postman fills in new ones each time."""

from typing import Any

# fields that are refused (409 or 422) if they are sent a second time: add new ones here
FIELDS = ("email", "order_id", "Idempotency-Key")
RANDOM = "{{$guid}}"


def is_unique(name: str) -> bool:
    """Whether a field, parameter or header has to be unique."""
    return name in FIELDS


def renewed(name: str, value: Any) -> Any:
    """An example; one that has to be unique gets a random part."""
    if not is_unique(name) or not isinstance(value, str):
        return value
    local, at, domain = value.partition("@")
    return f"{local}-{RANDOM}{at}{domain}"
