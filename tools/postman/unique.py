"""Values that only one thing or one request may have: Postman fills in new ones each time."""

from typing import Any

# what is 409 or 422 if it is sent a second time; a new field of that kind belongs here
FIELDS = ("email", "order_id", "Idempotency-Key")
RANDOM = "{{$guid}}"


def is_unique(name: str) -> bool:
    """Whether a field, parameter or header may not be the same twice."""
    return name in FIELDS


def renewed(name: str, value: Any) -> Any:
    """An example, or one like it with something random in it, if it may not be the same twice."""
    if not is_unique(name) or not isinstance(value, str):
        return value
    local, at, domain = value.partition("@")
    return f"{local}-{RANDOM}{at}{domain}"
