"""The page of a run: its figures in Markdown, and its pictures beside it."""

import re
from pathlib import Path

from tools.bench import report
from tools.bench.document import Run
from tools.bench.pictures import pictures
from tools.bench.scenarios import DEFAULT, LONG

BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"
_AIM = re.compile(r"^(\| .+ \| [\d.,]+ \| [≥≤] \S+ \| (?:not )?met \|)$", re.MULTILINE)
_SECTION = re.compile(r"^### `(.+?)`", re.MULTILINE)


def put(file: Path, run: Run) -> None:
    """Write a run to a file: between its marks if it has them, else as its whole content.

    Between the marks, rows that this run did not measure stay as they are. The pictures go into a
    directory that is named like the file.
    """
    old = file.read_text() if file.exists() else ""
    before, begin, rest = old.partition(BEGIN)
    kept, end, after = rest.partition(END)
    figures = document(run, file.stem, sections(kept) if end else {})
    for result in run.results:
        for picture in pictures(result, file.stem):
            target = file.parent / picture.link
            target.parent.mkdir(exist_ok=True)
            target.write_text(picture.svg)
    file.write_text(f"{before}{begin}\n{figures}\n{end}{after}" if end else figures)


def document(run: Run, directory: str, kept: dict[str, str]) -> str:
    """A run in Markdown: on what, how quiet it was, and every result or what is kept instead."""
    facts = {"time": run.time, **run.facts, "load average before": f"{run.load:.2f}"}
    about = f"Measured at {run.time}, commit {run.facts.get('commit', 'unknown')}."
    measured = {
        result.name: report.markdown(result, pictures(result, directory), about)
        for result in run.results
    }
    shown = kept | measured
    ordered = {name: shown[name] for name in (*DEFAULT, *LONG) if name in shown}
    table_of_facts = report.markdown_table([("what", "value"), *facts.items()])
    return "\n\n".join([table_of_facts, *aims(ordered), *ordered.values()]) + "\n"


def aims(sections: dict[str, str]) -> list[str]:
    """The section of all aims, by the ratios in those of the rows; none without aims."""
    lines = [
        f"| [`{name}`](#{anchor(text)}) {line}"
        for name, text in sections.items()
        for line in _AIM.findall(text)
    ]
    head = ["| row | ratio | measured | aim |  |", f"|{' --- |' * 5}"]
    return ["### Aims", "\n".join([*head, *lines])] if lines else []


def anchor(section: str) -> str:
    """The anchor that GitHub gives a section's heading."""
    heading = section.partition("\n")[0].lstrip("# ").lower()
    return re.sub(r"[^\w\- ]", "", heading).replace(" ", "-")


def sections(figures: str) -> dict[str, str]:
    """The sections of a page's figures, by the names of their rows."""
    _facts, *parts = _SECTION.split(figures)
    named = zip(parts[::2], parts[1::2], strict=True)
    return {name: f"### `{name}`{rest}".strip() for name, rest in named}
