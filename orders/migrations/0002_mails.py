"""Tables of the customer replica and of the mails about orders.

Revision ID: orders_0002
"""

from alembic import op

revision = "orders_0002"
down_revision = "orders_0001"


def upgrade() -> None:
    """Create the tables."""
    op.execute(
        """
        CREATE TABLE customers (
            id bigint PRIMARY KEY,
            name text,
            email text,
            as_of timestamptz,
            noted_at timestamptz NOT NULL,
            forgotten boolean NOT NULL DEFAULT false,
            CHECK (NOT forgotten OR (name IS NULL AND email IS NULL))
        )
        """
    )
    op.execute(
        """
        CREATE TABLE mails (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            order_uid uuid NOT NULL,
            step text NOT NULL CHECK (step IN ('created', 'completed', 'cancelled')),
            order_id text NOT NULL,
            customer_id text NOT NULL,
            data bytea NOT NULL,
            headers jsonb NOT NULL,
            recorded_at timestamptz NOT NULL DEFAULT now(),
            state text NOT NULL
                CHECK (state IN ('unaddressed', 'waiting', 'sent', 'refused', 'unknown')),
            recipient text CHECK (recipient IS NOT NULL OR state IN ('unaddressed', 'unknown')),
            attempts integer NOT NULL DEFAULT 0,
            next_attempt_at timestamptz NOT NULL DEFAULT now(),
            claim uuid,
            claimed_at timestamptz,
            sent_at timestamptz,
            error text,
            dead_letter text,
            CONSTRAINT mails_step_unique UNIQUE (order_uid, step)
        )
        """
    )
    op.execute(
        "CREATE INDEX mails_due ON mails (state, next_attempt_at) "
        "WHERE state IN ('unaddressed', 'waiting')"
    )


def downgrade() -> None:
    """Drop the tables."""
    op.execute("DROP TABLE mails, customers")
