"""What the tests of mails share: a channel beside mail-worker's, and a mail server's mind."""

from collections.abc import Iterator

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from chassis.storage.database import Database
from orders.settings import Settings
from tests.support.mail_server import Postman
from tests.support.mails import channel_beside


@pytest.fixture
def channel(orders_settings: Settings, orders_db: Database) -> Iterator[BlockingChannel]:
    """A channel beside the workers', with their queues empty."""
    with channel_beside(orders_settings) as channel:
        yield channel


@pytest.fixture
def postman() -> Postman:
    """A mail server's mind."""
    return Postman()
