"""The relay is woken after a commit, not by it: commits that notify happen one after the other.

Revision ID: inventory_0009
"""

from chassis.storage.migrations import tables

revision = "inventory_0009"
down_revision = "inventory_0008"


def upgrade() -> None:
    """Drop the trigger; a process of the old version leaves its messages to the relay's poll."""
    tables.notify_after_commits()


def downgrade() -> None:
    """Create it again."""
    tables.notify_by_trigger()
