"""PostgreSQL's own programs, as the distributions' packages install them."""

from pathlib import Path

from chassis.backup.errors import BackupError

INSTALLED = Path("/usr/lib/postgresql")


def newest(name: str) -> str | None:
    """Return the path of a program of the newest PostgreSQL installed, or None."""
    found = [path for path in INSTALLED.glob(f"*/bin/{name}") if path.parts[-3].isdigit()]
    return str(max(found, key=lambda path: int(path.parts[-3]))) if found else None


def required(name: str) -> str:
    """Return the path of a program of the newest PostgreSQL installed. Raises BackupError."""
    program = newest(name)
    if program is None:
        raise BackupError(f"{name} is missing: it belongs to the package postgresql.")
    return program
