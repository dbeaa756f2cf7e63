"""Events get their position after their commit, so that a client that follows the list misses none.

Revision ID: gateway_0004
"""

from alembic import op

revision = "gateway_0004"
down_revision = "gateway_0003"
_FOLLOW = """
    CREATE OR REPLACE FUNCTION follow_delivery() RETURNS trigger LANGUAGE plpgsql AS $function$
    BEGIN
        {first}
        EXECUTE $statement$
            UPDATE events SET attempts = changed.attempts, delivered_at = changed.sent_at
            FROM changed
            WHERE changed.exchange = 'events' AND events.uid = CASE
                WHEN changed.message_id ~ '^[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$'
                THEN changed.message_id::uuid
            END
        $statement$;
        RETURN NULL;
    END
    $function$
"""


def upgrade() -> None:
    """Give the existing events positions in the order of their times, as they were listed."""
    op.execute("ALTER TABLE events ADD COLUMN position bigint")
    op.execute("CREATE SEQUENCE events_position OWNED BY events.position")
    op.execute(
        "UPDATE events SET position = placed.position FROM ("
        "SELECT id, nextval('events_position') AS position "
        "FROM (SELECT id FROM events ORDER BY event_timestamp, id) AS in_order) AS placed "
        "WHERE events.id = placed.id"
    )
    op.execute("DROP INDEX events_by_name, events_undelivered")
    op.execute("CREATE UNIQUE INDEX events_by_position ON events (position)")
    op.execute("CREATE INDEX events_by_name ON events (solution, model, action, position)")
    op.execute("CREATE INDEX events_undelivered ON events (position) WHERE delivered_at IS NULL")
    op.execute("CREATE INDEX events_unplaced ON events (id) WHERE position IS NULL")
    _place_events()
    # so that a request for the list has no more to position than the undelivered events
    op.execute(
        _FOLLOW.format(
            first="IF EXISTS (SELECT FROM changed WHERE exchange = 'events') "
            "THEN PERFORM place_events(1000); END IF;"
        )
    )


def _place_events() -> None:
    """Give committed events positions, one transaction after the other.

    What is committed later gets a later position, however early its transaction began. This depends
    on no other transaction, while pg_snapshot_xmin would: on long ones, and on other databases'.
    """
    op.execute(
        """
        CREATE FUNCTION place_events(most integer) RETURNS bigint LANGUAGE plpgsql AS $function$
        DECLARE
            placed bigint;
        BEGIN
            PERFORM pg_advisory_xact_lock(5871120463);
            EXECUTE $statement$
                UPDATE events SET position = placed.position
                FROM (
                    SELECT id, nextval('events_position') AS position
                    FROM (SELECT id FROM events WHERE position IS NULL ORDER BY id LIMIT $1) oldest
                ) placed
                WHERE events.id = placed.id
            $statement$ USING most;
            GET DIAGNOSTICS placed = ROW_COUNT;
            RETURN placed;
        END
        $function$
        """
    )


def downgrade() -> None:
    """List events in the order of their times again."""
    op.execute(_FOLLOW.format(first=""))
    op.execute("DROP FUNCTION place_events")
    op.execute("DROP INDEX events_by_name, events_undelivered")
    op.execute("ALTER TABLE events DROP COLUMN position")
    op.execute(
        "CREATE INDEX events_by_name ON events (solution, model, action, event_timestamp, id)"
    )
    op.execute(
        "CREATE INDEX events_undelivered ON events (event_timestamp, id) WHERE delivered_at IS NULL"
    )
