"""The report of a run of drills: one page without outside resources."""

from collections.abc import Sequence
from datetime import datetime
from html import escape

from local.drill import chart, table
from local.drill.load import Load
from local.drill.result import Result

STYLE = """\
:root { color-scheme: light dark; --text: #1c2430; --back: #fbfbfc; --faint: #5c6675;
  --grid: #d8dde4; --band: #d4572022; --mark: #d45720; --accepted: #1f6feb;
  --recorded: #188038; --waiting: #8250df; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e9ee; --back: #14181e;
  --faint: #9aa5b4; --grid: #333b46; --band: #ff8a5033; --mark: #ff8a50; --accepted: #6cb0ff;
  --recorded: #5bd17d; --waiting: #c297ff; --bad: #ff8a80; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back);
  max-width: 66rem; margin: 2rem auto; padding: 0 1rem; }
a { color: var(--accepted); } .wide { overflow-x: auto; }
table { border-collapse: collapse; white-space: nowrap; }
th, td { padding: .25rem .7rem .25rem 0; text-align: right; border-bottom: 1px solid var(--grid); }
th:first-child, td:first-child, td[colspan] { text-align: left; }
svg { width: 100%; height: auto; }
path { fill: none; stroke-width: 2; }
.accepted { stroke: var(--accepted); } .recorded { stroke: var(--recorded); }
path.recorded { stroke-dasharray: 6 3; }
.waiting { stroke: var(--waiting); } .band { fill: var(--band); }
.mark { stroke: var(--mark); stroke-dasharray: 2 3; } .grid { stroke: var(--grid); }
.small { font-size: 11px; fill: var(--faint); } .note { color: var(--faint); }
.bad { color: var(--bad); }
.key { display: inline-block; width: 1.6rem; border-top: 3px solid; vertical-align: middle; }
"""
KEYS = {"accepted": "solid", "recorded": "dashed", "waiting": "solid"}


def render(results: Sequence[Result], load: Load) -> str:
    """The page, as HTML."""
    title = "Drills of CRUD Master"
    said = (
        f"{datetime.now():%Y-%m-%d %H:%M}. {load.seconds:g} s of traffic a drill,"
        f" {load.rate:g} requests per second, --seed {load.seed}."
    )
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{title}</title>\n<style>\n{STYLE}</style>\n<h1>{title}</h1>\n"
        f'<p>{escape(said)}</p>\n<div class="wide">{_table(results)}</div>\n<p>{_key()}</p>\n'
        + "\n".join(_section(result) for result in results if not result.skipped)
        + "\n</html>\n"
    )


def _table(results: Sequence[Result]) -> str:
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.HEADINGS)
    return f"<table><tr>{heads}</tr>{''.join(map(_row, results))}</table>"


def _row(result: Result) -> str:
    if result.skipped:
        name, reason = escape(result.name), escape(result.skipped)
        return f'<tr><td>{name}</td><td colspan="10">skipped: {reason}</td></tr>'
    cells = [escape(cell) for cell in table.row(result)]
    cells[0] = f'<a href="#{cells[0]}">{cells[0]}</a>'
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _key() -> str:
    lines = (
        f'<span class="key" style="color:var(--{name});border-top-style:{kind}"></span> {name}'
        for name, kind in KEYS.items()
    )
    return " &nbsp; ".join([*lines, "The band is the fault; a dotted line is what was done then."])


def _section(result: Result) -> str:
    wrong = "".join(f'<li class="bad">{escape(f.words)}</li>' for f in result.findings[:50])
    notes = escape("; ".join(result.notes()))
    return (
        f'<section id="{escape(result.name)}"><h2>{escape(result.name)}</h2>{chart.draw(result)}'
        f"<ul>{wrong}</ul><details><summary>What was done</summary>"
        f'<p class="note">{notes}</p></details></section>'
    )
