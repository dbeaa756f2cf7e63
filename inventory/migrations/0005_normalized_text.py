"""Existing text is normalized to Unicode's form NFC, as new text is.

Revision ID: inventory_0005
"""

from chassis.storage.migrations.normalization import normalize

revision = "inventory_0005"
down_revision = "inventory_0004"


def upgrade() -> None:
    """Normalize the columns that people search."""
    normalize("movies", "title", 255)
    normalize("movies", "description", 10_000)
    normalize("products", "name", 255)
    normalize("products", "description", 10_000)


def downgrade() -> None:
    """Change nothing: the previous version reads text in NFC, too."""
