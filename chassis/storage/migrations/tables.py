"""Tables that several services have, for their own migrations to create."""

from alembic import op


def create_outbox() -> None:
    """Create the outbox, its indexes, and the trigger that wakes the relay."""
    op.execute(
        """
        CREATE TABLE outbox (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            message_id text NOT NULL,
            exchange text NOT NULL,
            routing_key text NOT NULL,
            content_type text NOT NULL,
            mandatory boolean NOT NULL,
            headers jsonb NOT NULL,
            body bytea NOT NULL,
            aggregate text,
            attempts integer NOT NULL DEFAULT 0,
            created_at timestamptz NOT NULL DEFAULT now(),
            sent_at timestamptz
        )
        """
    )
    index_outbox()
    _wake_the_relay()


def _wake_the_relay() -> None:
    op.execute(
        """
        CREATE FUNCTION wake_relay() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN NOTIFY outbox; RETURN NULL; END $$
        """
    )
    op.execute(
        "CREATE TRIGGER outbox_added AFTER INSERT ON outbox "
        "FOR EACH STATEMENT EXECUTE FUNCTION wake_relay()"
    )


def index_outbox() -> None:
    """Create the outbox's indexes, in place of earlier ones.

    One for unsent messages, new ones first; one for unsent messages of an aggregate; one for sent
    messages.
    """
    op.execute("DROP INDEX IF EXISTS outbox_unsent, outbox_aggregate, outbox_sent")
    op.execute("CREATE INDEX outbox_unsent ON outbox ((attempts > 0), id) WHERE sent_at IS NULL")
    op.execute(
        "CREATE INDEX outbox_aggregate ON outbox (aggregate, attempts) "
        "WHERE sent_at IS NULL AND aggregate IS NOT NULL"
    )
    op.execute("CREATE INDEX outbox_sent ON outbox (sent_at) WHERE sent_at IS NOT NULL")


def let_urgent_messages_pass() -> None:
    """Add the column `urgent` to the outbox, and to its index of unsent messages."""
    op.execute("ALTER TABLE outbox ADD COLUMN urgent boolean NOT NULL DEFAULT false")
    op.execute("DROP INDEX outbox_unsent")
    op.execute(
        "CREATE INDEX outbox_unsent ON outbox ((attempts > 0), urgent, id) WHERE sent_at IS NULL"
    )


def treat_all_messages_alike() -> None:
    """Undo `let_urgent_messages_pass`."""
    op.execute("ALTER TABLE outbox DROP COLUMN urgent")
    op.execute("CREATE INDEX outbox_unsent ON outbox ((attempts > 0), id) WHERE sent_at IS NULL")


def notify_after_commits() -> None:
    """Drop the trigger that wakes the relay: who inserts notifies after its commit."""
    op.execute("DROP TRIGGER outbox_added ON outbox")
    op.execute("DROP FUNCTION wake_relay")


def notify_by_trigger() -> None:
    """Undo `notify_after_commits`."""
    _wake_the_relay()


def create_inbox() -> None:
    """Create the table of messages that have been applied."""
    op.execute(
        """
        CREATE TABLE inbox (
            message_id text PRIMARY KEY,
            applied_at timestamptz NOT NULL DEFAULT now()
        )
        """
    )
    op.execute("CREATE INDEX inbox_applied ON inbox (applied_at)")


def mark_by_consumer(consumer: str, *others: str) -> None:
    """Add the consumer that has applied a message to each mark of the inbox.

    An older mark names no consumer, so it is copied for all consumers of the database: until then
    no two of them received the same event.

    Args:
        consumer: the default, for marks that processes of the old version insert.
        others: further consumers of the same database.
    """
    op.execute(f"ALTER TABLE inbox ADD COLUMN consumer text NOT NULL DEFAULT '{consumer}'")
    op.execute("ALTER TABLE inbox DROP CONSTRAINT inbox_pkey")
    for other in others:
        op.execute(
            f"INSERT INTO inbox (consumer, message_id, applied_at) SELECT '{other}', message_id, "
            f"applied_at FROM inbox WHERE consumer = '{consumer}'"
        )
    op.execute("ALTER TABLE inbox ADD PRIMARY KEY (consumer, message_id)")


def unmark_consumers(consumer: str) -> None:
    """Undo `mark_by_consumer`: a mark of one consumer is a mark of all again."""
    op.execute(
        "DELETE FROM inbox AS other USING inbox AS own WHERE other.message_id = own.message_id "
        f"AND own.consumer = '{consumer}' AND other.consumer <> own.consumer"
    )
    op.execute("ALTER TABLE inbox DROP CONSTRAINT inbox_pkey")
    op.execute("ALTER TABLE inbox DROP COLUMN consumer")
    op.execute("ALTER TABLE inbox ADD PRIMARY KEY (message_id)")


def create_idempotency_keys() -> None:
    """Create the table of idempotency keys."""
    op.execute(
        """
        CREATE TABLE idempotency_keys (
            caller text NOT NULL,
            route text NOT NULL,
            key text NOT NULL,
            body_hash bytea NOT NULL,
            claim uuid NOT NULL,
            claimed_at timestamptz NOT NULL DEFAULT now(),
            status integer,
            headers jsonb,
            body bytea,
            PRIMARY KEY (caller, route, key)
        )
        """
    )
    op.execute("CREATE INDEX idempotency_keys_claimed ON idempotency_keys (claimed_at)")
