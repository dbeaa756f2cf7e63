"""What a token may do: `CLASS:read` and `CLASS:write`, for each class of resources.

`platform` is how the platform is: the gateway's metrics, and the details of its state.
"""

CLASSES = ("movies", "products", "billing", "customers", "orders", "events", "platform")
ACTIONS = ("read", "write")
EVERY_CLASS = "all"
EVERY_SCOPE = tuple(f"{name}:{action}" for name in CLASSES for action in ACTIONS)
_SAFE_METHODS = ("GET", "HEAD")


def needed(resource_class: str, method: str) -> str:
    """Return the scope that a request needs; whatever does not surely read, writes."""
    action = "read" if method in _SAFE_METHODS else "write"
    return f"{resource_class}:{action}"


def parse(text: str) -> list[str]:
    """Read a comma-separated list of scopes; `all:read` is `read` of every class.

    Returned in the order of `EVERY_SCOPE`, each once.
    `all` means the classes that there are now: a token gets nothing of a class that is added later.

    Raises:
        ValueError: naming the word that is no scope.
    """
    scopes: set[str] = set()
    for word in words(text):
        scopes |= _meant(word)
    return [scope for scope in EVERY_SCOPE if scope in scopes]


def words(text: str) -> list[str]:
    """Split a comma-separated list; case and blanks do not matter."""
    return [word.strip().lower() for word in text.split(",")]


def _meant(word: str) -> set[str]:
    resource_class, _, action = word.partition(":")
    classes = CLASSES if resource_class == EVERY_CLASS else (resource_class,)
    scopes = {f"{name}:{action}" for name in classes}
    if not scopes.issubset(EVERY_SCOPE):
        known = ", ".join((*CLASSES, EVERY_CLASS))
        raise ValueError(f"'{word}' is no scope; one is CLASS:read or CLASS:write, of {known}")
    return scopes
