"""The report of a run of drills: one HTML page without external resources."""

from collections.abc import Sequence
from datetime import datetime

from jinja2 import Environment, PackageLoader, StrictUndefined

from tools.drills.report import chart, table
from tools.drills.report.result import Result
from tools.drills.workload.load import Load


def render(results: Sequence[Result], load: Load) -> str:
    """The page as HTML; inserted values are escaped."""
    environment = Environment(
        loader=PackageLoader("tools.drills.report", "."),
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
