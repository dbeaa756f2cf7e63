"""The scopes of tokens: `CLASS:read` and `CLASS:write`, for each class of resources.

The class `platform` is the state of the platform: the gateway's metrics, and the status's details.
"""

CLASSES = ("movies", "products", "billing", "customers", "orders", "events", "platform")
ACTIONS = ("read", "write")
EVERY_CLASS = "all"
EVERY_SCOPE = tuple(f"{name}:{action}" for name in CLASSES for action in ACTIONS)
_SAFE_METHODS = ("GET", "HEAD")


def needed(resource_class: str, method: str) -> str:
    """Return the scope that a request needs; every method that is not safe needs `write`."""
    action = "read" if method in _SAFE_METHODS else "write"
    return f"{resource_class}:{action}"


def parse(text: str) -> list[str]:
    """Parse a comma-separated list of scopes; `all:read` is `read` of every class.

    The result has the order of `EVERY_SCOPE`, without duplicates. `all` means the classes of this
    version: a token gets no scope of a class that is added later.

    Raises:
        ValueError: a word is no scope; the message names it.
    """
    scopes: set[str] = set()
    for word in words(text):
        scopes |= _expanded(word)
    return [scope for scope in EVERY_SCOPE if scope in scopes]


def words(text: str) -> list[str]:
    """Split a comma-separated list into lower-case words without blanks."""
    return [word.strip().lower() for word in text.split(",")]


def _expanded(word: str) -> set[str]:
    resource_class, _, action = word.partition(":")
    classes = CLASSES if resource_class == EVERY_CLASS else (resource_class,)
    scopes = {f"{name}:{action}" for name in classes}
    if not scopes.issubset(EVERY_SCOPE):
        known = ", ".join((*CLASSES, EVERY_CLASS))
        raise ValueError(f"'{word}' is no scope; say CLASS:read or CLASS:write, CLASS of {known}")
    return scopes
