"""The release: a fingerprint of the services' code, packages and variables."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from tools.stack.layout import CHECKOUT, SERVICES

PACKAGES = ("chassis", *SERVICES)
ENDINGS = (".py", ".js", ".mako", ".sql")


def fingerprint(variables: str, checkout: Path = CHECKOUT) -> str:
    """A digest of the services' sources, the files that they read, and the variables' text."""
    digest = hashlib.sha256(variables.encode())
    for path in _sources(checkout):
        digest.update(str(path.relative_to(checkout)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _sources(checkout: Path) -> Iterator[Path]:
    yield from (checkout / name for name in ("requirements.lock", "openapi.yaml", "topology.yml"))
    for package in PACKAGES:
        yield from sorted(p for p in (checkout / package).rglob("*") if p.suffix in ENDINGS)
