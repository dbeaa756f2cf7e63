"""A gateway that requires tokens, with one upstream."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from chassis.messaging.publisher import Publisher
from chassis.settings import DatabaseSettings, read
from chassis.storage.database import Database
from gateway.app import create_app
from gateway.auth import scopes, tokens
from gateway.settings import AuthSettings, Settings
from tests.support.raw_upstream import RawUpstream
from tests.support.settings import NOWHERE, settings_of_gateway

API_TOKEN = "bootstrap-token-of-the-tests!"
REALM = 'Bearer realm="crud-master"'


@dataclass
class Gateway:
    """The gateway with one upstream for all services."""

    settings: Settings
    database: Database
    upstream: RawUpstream

    def client(self, protected: str, database: DatabaseSettings | None = None) -> FlaskClient:
        """A client of a gateway that protects these classes; another database may be given."""
        auth = read(AuthSettings, auth_protected=protected, api_token=API_TOKEN)
        database = database or self.settings.database
        settings = replace(self.settings, auth=auth, database=database)
        app = create_app(settings, Publisher(NOWHERE, "idle", []))
        return app.test_client(use_cookies=False)

    def token(self, scope: str, name: str = "tester", lifetime: timedelta | None = None) -> str:
        """A new token."""
        with self.database.transaction() as connection:
            made = tokens.create(connection, name, scopes.parse(scope), lifetime)
        return made

    def change(self, statement: str) -> None:
        """Change the table by hand."""
        with self.database.autocommit() as connection:
            connection.execute(text(statement))


@pytest.fixture
def gateway(
    gateway_db: Database,
    database_settings: Callable[[str], DatabaseSettings],
    upstream: RawUpstream,
) -> Gateway:
    """The gateway, without a broker."""
    settings = settings_of_gateway(database_settings("gateway"), NOWHERE, upstream.port)
    return Gateway(settings, gateway_db, upstream)


def bearing(token: str, **more: str) -> dict[str, str]:
    """Headers with a token."""
    return {"Authorization": f"Bearer {token}", **more}


def refused(answer: TestResponse, status: int, challenge: str) -> None:
    """Check that a request was refused with this challenge."""
    assert answer.status_code == status, answer.text
    assert answer.headers.getlist("WWW-Authenticate") == [challenge]
    if answer.data:
        assert answer.content_type == "application/problem+json"
        document = json.loads(answer.data)
        assert document["status"] == status and document["detail"]
