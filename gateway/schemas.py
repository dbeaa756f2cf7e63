"""The requests that the gateway validates itself."""

from chassis.schema.fields import Count, Flag, Money, Reference, Schema, Slug
from chassis.schema.paging import Page
from chassis.schema.timestamps import QueryMoment


class NewBill(Schema):
    """A bill to be queued."""

    user_id: Reference
    number_of_items: Count
    total_amount: Money


class EventKind(Schema):
    """The kind of an event: the three names in its path."""

    solution: Slug
    model: Slug
    action: Slug


class EventQuery(Page):
    """Which events to list, in the order of their positions; `after` is the last id seen."""

    solution: Slug | None = None
    model: Slug | None = None
    action: Slug | None = None
    since: QueryMoment | None = None
    delivered: Flag | None = None
