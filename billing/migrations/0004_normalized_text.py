"""Text of rows from before is brought to Unicode's form NFC, as new text is.

Revision ID: billing_0004
"""

from chassis.storage.migrations.normalization import normalize

revision = "billing_0004"
down_revision = "billing_0003"


def upgrade() -> None:
    """Normalize what people search for."""
    normalize("orders", "user_id", 64)
    normalize("orders", "order_id", 50)


def downgrade() -> None:
    """Leave it: text in NFC is text for the version before, too."""
