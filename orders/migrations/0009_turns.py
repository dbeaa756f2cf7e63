"""The mails of an order go in sequence; stale claims are doubted; used addresses are deleted.

Revision ID: orders_0009
"""

from alembic import op
from sqlalchemy import Connection, text

from chassis.json import encode
from chassis.schema.decoding import decode

revision = "orders_0009"
down_revision = "orders_0008"
_BATCH_SIZE = 1000


def upgrade() -> None:
    """Add the columns and their indexes, and delete the addresses of sent mails."""
    op.execute("ALTER TABLE mails ADD COLUMN in_turn boolean NOT NULL DEFAULT true")
    op.execute("ALTER TABLE mails ADD COLUMN doubted uuid")
    op.execute(
        "UPDATE mails SET in_turn = false WHERE state IN ('unaddressed', 'waiting') "
        "AND EXISTS (SELECT FROM mails AS earlier WHERE earlier.order_uid = mails.order_uid "
        "AND earlier.id < mails.id AND earlier.state IN ('unaddressed', 'waiting'))"
    )
    op.execute("DROP INDEX mails_due")
    op.execute(
        "CREATE INDEX mails_due ON mails (state, next_attempt_at, id) "
        "WHERE state IN ('unaddressed', 'waiting') AND in_turn"
    )
    op.execute(
        "CREATE INDEX mails_addressed ON mails (customer_id) "
        "WHERE recipient IS NOT NULL OR state IN ('unaddressed', 'waiting')"
    )
    op.execute("ALTER TABLE mails DROP CONSTRAINT mails_check")
    op.execute(
        "ALTER TABLE mails ADD CONSTRAINT mails_recipient_check "
        "CHECK (recipient IS NOT NULL OR state <> 'waiting')"
    )
    connection = op.get_bind()
    while _remove_addresses(connection) == _BATCH_SIZE:
        pass


def _remove_addresses(connection: Connection) -> int:
    rows = connection.execute(
        text(
            "SELECT id, data FROM mails WHERE state IN ('sent', 'unknown') "
            "AND recipient IS NOT NULL ORDER BY id LIMIT :batch_size"
        ),
        {"batch_size": _BATCH_SIZE},
    ).all()
    values = [{"id": row.id, "data": _without_address(bytes(row.data))} for row in rows]
    if values:
        statement = "UPDATE mails SET recipient = NULL, data = :data WHERE id = :id"
        connection.execute(text(statement), values)
    return len(rows)


def _without_address(data: bytes) -> bytes:
    return encode({**decode(data), "email": None})


def downgrade() -> None:
    """Drop the columns; the deleted addresses can't be restored."""
    op.execute("DROP INDEX mails_addressed, mails_due")
    op.execute("UPDATE mails SET recipient = '' WHERE recipient IS NULL AND state = 'sent'")
    op.execute("UPDATE mails SET recipient = '' WHERE recipient IS NULL AND state = 'refused'")
    op.execute("ALTER TABLE mails DROP CONSTRAINT mails_recipient_check")
    op.execute(
        "ALTER TABLE mails ADD CONSTRAINT mails_check "
        "CHECK (recipient IS NOT NULL OR state IN ('unaddressed', 'unknown'))"
    )
    op.execute("ALTER TABLE mails DROP COLUMN doubted, DROP COLUMN in_turn")
    op.execute(
        "CREATE INDEX mails_due ON mails (state, next_attempt_at) "
        "WHERE state IN ('unaddressed', 'waiting')"
    )
