"""Which variables inventory reads."""

from dataclasses import dataclass

from chassis.settings import DatabaseSettings, PortSettings, ServerSettings, read


@dataclass(frozen=True)
class Settings:
    """Inventory's configuration."""

    server: ServerSettings
    port: PortSettings
    database: DatabaseSettings


def load() -> Settings:
    """Read `INVENTORY_*`.

    Raises:
        SettingsError: a variable is missing or malformed.
    """
    return Settings(
        server=read(ServerSettings, "INVENTORY_"),
        port=read(PortSettings, "INVENTORY_API_"),
        database=read(DatabaseSettings, "INVENTORY_DB_"),
    )
