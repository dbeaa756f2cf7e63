"""The relay is woken after a commit, not by it: commits that notify happen one after the other.

Revision ID: customers_0006
"""

from chassis.storage.migrations import tables

revision = "customers_0006"
down_revision = "customers_0005"


def upgrade() -> None:
    """Drop the trigger; a process of the old version leaves its messages to the relay's poll."""
    tables.notify_after_commits()


def downgrade() -> None:
    """Create it again."""
    tables.notify_by_trigger()
