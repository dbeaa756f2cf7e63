"""Existing text is normalized to Unicode's form NFC, as new text is.

Revision ID: billing_0004
"""

from chassis.storage.migrations.normalization import normalize

revision = "billing_0004"
down_revision = "billing_0003"


def upgrade() -> None:
    """Normalize the columns that people search."""
    normalize("orders", "user_id", 64)
    normalize("orders", "order_id", 50)


def downgrade() -> None:
    """Change nothing: the previous version reads text in NFC, too."""
