"""What the gateway accepts itself."""

from chassis.fields import Count, Money, Reference, Schema


class NewBill(Schema):
    """A bill to be queued."""

    user_id: Reference
    number_of_items: Count
    total_amount: Money
