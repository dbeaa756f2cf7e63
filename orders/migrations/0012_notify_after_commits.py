"""The relay is woken after a commit, not by it: commits that notify happen one after the other.

Revision ID: orders_0012
"""

from chassis.storage.migrations import tables

revision = "orders_0012"
down_revision = "orders_0011"


def upgrade() -> None:
    """Drop the trigger; a process of the old version leaves its messages to the relay's poll."""
    tables.notify_after_commits()


def downgrade() -> None:
    """Create it again."""
    tables.notify_by_trigger()
