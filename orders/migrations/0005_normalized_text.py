"""Text of rows from before is brought to Unicode's form NFC, as new text is.

Revision ID: orders_0005
"""

from chassis.storage.migrations.normalization import normalize, normalize_unique

revision = "orders_0005"
down_revision = "orders_0004"


def upgrade() -> None:
    """Normalize what people search for and what names an order."""
    normalize_unique("orders", "id", "order_id", 50)
    normalize("orders", "customer_id", 50)
    normalize("order_lines", "name", 255)
    normalize("customers", "name", 255)


def downgrade() -> None:
    """Leave it: text in NFC is text for the version before, too."""
