"""Text of rows from before is brought to Unicode's form NFC, as new text is.

Revision ID: inventory_0005
"""

from chassis.storage.migrations.normalization import normalize

revision = "inventory_0005"
down_revision = "inventory_0004"


def upgrade() -> None:
    """Normalize what people search for."""
    normalize("movies", "title", 255)
    normalize("movies", "description", 10_000)
    normalize("products", "name", 255)
    normalize("products", "description", 10_000)


def downgrade() -> None:
    """Leave it: text in NFC is text for the version before, too."""
