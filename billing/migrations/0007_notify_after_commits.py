"""The relay is woken after a commit, not by it: commits that notify happen one after the other.

Revision ID: billing_0007
"""

from chassis.storage.migrations import tables

revision = "billing_0007"
down_revision = "billing_0006"


def upgrade() -> None:
    """Drop the trigger; a process of the old version leaves its messages to the relay's poll."""
    tables.notify_after_commits()


def downgrade() -> None:
    """Create it again."""
    tables.notify_by_trigger()
