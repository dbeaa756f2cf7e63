"""Text of existing rows is normalized to Unicode NFC, as new text is.

Revision ID: orders_0005
"""

from chassis.storage.migrations.normalization import normalize, normalize_unique

revision = "orders_0005"
down_revision = "orders_0004"


def upgrade() -> None:
    """Normalize the texts that people search for, and `order_id`."""
    normalize_unique("orders", "id", "order_id", 50)
    normalize("orders", "customer_id", 50)
    normalize("order_lines", "name", 255)
    normalize("customers", "name", 255)


def downgrade() -> None:
    """Change nothing: the version before reads text in NFC as well."""
