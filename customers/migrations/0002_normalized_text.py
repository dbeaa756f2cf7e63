"""Text of rows from before is brought to Unicode's form NFC, as new text is.

Revision ID: customers_0002
"""

from chassis.storage.migrations.normalization import normalize

revision = "customers_0002"
down_revision = "customers_0001"


def upgrade() -> None:
    """Normalize what people search for."""
    normalize("customers", "name", 255)
    normalize("customers", "company", 255)


def downgrade() -> None:
    """Leave it: text in NFC is text for the version before, too."""
