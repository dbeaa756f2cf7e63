"""Text of existing rows is normalized to Unicode NFC, as new text is.

Revision ID: customers_0002
"""

from chassis.storage.migrations.normalization import normalize

revision = "customers_0002"
down_revision = "customers_0001"


def upgrade() -> None:
    """Normalize the texts that people search for."""
    normalize("customers", "name", 255)
    normalize("customers", "company", 255)


def downgrade() -> None:
    """Change nothing: the version before reads text in NFC as well."""
