"""Alembic for all services: one environment, each service's revisions in its own package.

`python -m SERVICE migrate`, `chassis.migrate` and tests use it.
"""

import logging
from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from chassis.settings import DatabaseSettings
from chassis.storage.database import connect_args

_LOCK = 7595454712  # one migration at a time in a database
logger = logging.getLogger(__name__)


def upgrade(service: str, settings: DatabaseSettings, revision: str = "head") -> None:
    """Bring a service's database to the newest revision of `<service>/migrations`, or to another.

    Raises:
        sqlalchemy.exc.OperationalError: the database does not answer.
    """
    config = _config(service)
    engine = create_engine(settings.url, connect_args=connect_args(settings.place, {}))
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
        # the session holds the lock; inside this transaction all revisions would be one
        connection.commit()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()
    logger.info("database migrated", extra={"database": settings.name})


def revisions(service: str) -> list[str]:
    """Return the revisions of a service's database that this release knows, the newest first."""
    known = ScriptDirectory.from_config(_config(service)).walk_revisions()
    return [script.revision for script in known]


def _config(service: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("chassis.storage") / "migrations"))
    config.set_main_option("version_locations", str(files(service) / "migrations"))
    config.set_main_option("path_separator", "newline")
    return config
