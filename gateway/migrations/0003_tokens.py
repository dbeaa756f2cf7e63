"""Tokens, of which only the hashes are stored.

Revision ID: gateway_0003
"""

from alembic import op

revision = "gateway_0003"
down_revision = "gateway_0002"


def upgrade() -> None:
    """Create the table."""
    op.execute(
        """
        CREATE TABLE tokens (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            name varchar(64) NOT NULL CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]*$'),
            hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
            scopes text[] NOT NULL CHECK (cardinality(scopes) > 0),
            created_at timestamptz NOT NULL DEFAULT now(),
            expires_at timestamptz CHECK (expires_at > created_at),
            revoked_at timestamptz
        )
        """
    )
    # the name of a revoked token may be used again, that of an expired one may not
    op.execute("CREATE UNIQUE INDEX tokens_name ON tokens (name) WHERE revoked_at IS NULL")


def downgrade() -> None:
    """Drop the table."""
    op.execute("DROP TABLE tokens")
