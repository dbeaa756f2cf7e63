"""Query parameters of lists."""

from typing import Annotated

from chassis.schema.fields import BigInt, Schema, whole_number

Limit = Annotated[int, whole_number(1, 1000)]


class Page(Schema):
    """Query parameters of a list: at most `limit` rows (1 to 1000), after the key `after`."""

    limit: Limit = 100
    after: BigInt | None = None
