"""The data directories of servers, which the account that runs them has to reach."""

import hashlib
import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.stack.errors import StackError
from tools.stack.layout import CHECKOUT, SERVICES

# a unix socket's path has at most 107 bytes; this is the longest below a home
SOCKET_PATH_LIMIT = 107
LONGEST_SOCKET = f"/postgresql/{max(SERVICES, key=len)}/socket/.s.PGSQL.65535"


@contextmanager
def private_home() -> Iterator[Path]:
    """A new directory for one server or stack, reachable for `postgres`; removed afterwards."""
    home = Path(tempfile.mkdtemp(prefix="cm-"))
    home.chmod(0o711)
    try:
        yield home
    finally:
        shutil.rmtree(home)


def postgres_account() -> str | None:
    """The account that runs PostgreSQL: `postgres` for root, else None, the caller's own.

    Raises StackError for root if the account `postgres` is missing.
    """
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        raise StackError(
            "PostgreSQL refuses to run as root and there is no account `postgres`: "
            "install the package postgresql."
        ) from None


def of_checkout(checkout: Path) -> Path:
    """The data directory of the checkout's stack: .stack/data, if servers can use it.

    Otherwise (root's PostgreSQL can't reach it, or socket paths would be too long) it is another
    directory, to which .stack/data links. Raises StackError if existing data can't be used.
    """
    link = checkout / ".stack" / "data"
    if link.is_symlink() and not link.exists():
        link.unlink()
    home = link if _is_usable(link) else _elsewhere(checkout)
    if home != link:
        _point(link, home)
    home.mkdir(mode=0o711, parents=True, exist_ok=True)
    return home


def purge(home: Path, checkout: Path = CHECKOUT) -> None:
    """Remove a stack's data, and the link to them if they are outside the checkout."""
    data, link = home.resolve(), checkout / ".stack" / "data"
    points_there = link.is_symlink() and link.resolve() == data
    shutil.rmtree(data)
    if points_there:
        link.unlink()


def _point(link: Path, home: Path) -> None:
    if link.is_symlink():
        link.unlink()
    if link.exists():
        raise StackError(f"Servers can't live in {link} any more: move it to {home}, or remove it.")
    link.symlink_to(home)


def _is_usable(home: Path) -> bool:
    return is_short(home) and (os.geteuid() != 0 or is_reachable(home))


def _elsewhere(checkout: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(checkout)).hexdigest()[:8]
    root = Path("/var/lib") if os.geteuid() == 0 else Path.home() / ".local" / "share"
    return root / "crud-master" / digest


def is_reachable(path: Path) -> bool:
    """Whether any account may enter all directories above `path` that exist."""
    return all(p.stat().st_mode & 0o001 for p in path.absolute().parents if p.exists())


def is_short(home: Path) -> bool:
    """Whether the paths of unix sockets below `home` are short enough for the kernel."""
    return len(os.fsencode(home)) + len(LONGEST_SOCKET) <= SOCKET_PATH_LIMIT


def make_private(directory: Path, account: str | None) -> None:
    """Make `directory` if it is missing, for its owner only: `account` or the caller."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    if account:
        shutil.chown(directory, account, account)
