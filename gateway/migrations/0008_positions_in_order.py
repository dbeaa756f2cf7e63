"""Events get their positions in the order of their ids, however the statement is planned.

Revision ID: gateway_0008
"""

from alembic import op

revision = "gateway_0008"
down_revision = "gateway_0007"
_NUMBERED = """
    SELECT id, nextval('events_position') AS position
    FROM (SELECT id FROM events WHERE position IS NULL ORDER BY id LIMIT $1) AS oldest
"""
_FUNCTION = """
    CREATE OR REPLACE FUNCTION place_events(most integer) RETURNS bigint LANGUAGE plpgsql
    AS $function$
    DECLARE
        placed bigint;
    BEGIN
        PERFORM pg_advisory_xact_lock(5871120463);
        EXECUTE $statement$ {statement} $statement$ USING most;
        GET DIAGNOSTICS placed = ROW_COUNT;
        RETURN placed;
    END
    $function$
"""


def upgrade() -> None:
    """Number the events once, before the join.

    A nested loop runs a subquery again for each row of `events`: each time it takes new numbers, so
    that events get positions in the order of their places in the table.
    """
    update = (
        f"WITH placed AS MATERIALIZED ({_NUMBERED}) "
        "UPDATE events SET position = placed.position FROM placed WHERE events.id = placed.id"
    )
    op.execute(_FUNCTION.format(statement=update))


def downgrade() -> None:
    """Number them in a subquery again."""
    update = (
        f"UPDATE events SET position = placed.position FROM ({_NUMBERED}) AS placed "
        "WHERE events.id = placed.id"
    )
    op.execute(_FUNCTION.format(statement=update))
