"""The report of a run of drills: one page without outside resources."""

from collections.abc import Sequence
from datetime import datetime

from jinja2 import Environment, PackageLoader, StrictUndefined

from local.drill import chart, table
from local.drill.load import Load
from local.drill.result import Result


def render(results: Sequence[Result], load: Load) -> str:
    """The page, as HTML; what is inserted is escaped."""
    environment = Environment(
        loader=PackageLoader("local.drill", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template("page.html").render(
        results=results,
        load=load,
        made=datetime.now(),
        headings=table.HEADINGS,
        row=table.row,
        picture=chart.picture,
    )
