"""What follows from a restore of movies_db: nothing that gateways have cached is true any more."""

from sqlalchemy import Connection

from inventory.events import announce

SOURCE = "inventory-restore"


def sentences(connection: Connection) -> list[str]:
    """Announce the restore, so that each gateway empties its cache; return nothing to tell."""
    announce(connection, "inventory.restored", {}, "inventory", source=SOURCE)
    return []
