"""The page of figures: what a run replaces in it, and its pictures."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.bench_examples import LINES, ROW, RUN
from tools.bench import page, pictures
from tools.bench.figures import Plot, Series
from tools.stack.layout import CHECKOUT

SVG = "{http://www.w3.org/2000/svg}"


def test_a_report_names_the_machine_its_load_and_the_commit_of_each_row() -> None:
    said = page.document(RUN, "performance", {})
    for part in ("2026-11-22T11:20:00Z", "one, 2 cores", "| load average before | 0.40 |"):
        assert part in said
    assert "Measured at 2026-11-22T11:20:00Z, commit abc. Load average before: 0.50." in said


def test_the_aims_of_all_rows_are_one_table_also_of_those_that_are_kept() -> None:
    kept = {
        "purge": "### `purge`: Old\n\n| purge : alone | 4.07 | ≥ 1 | met |\n| a : b | 2 |  |  |"
    }
    said = page.document(RUN, "performance", kept)
    table = said.partition("### Aims\n\n")[2].partition("\n\n")[0].splitlines()
    assert table[2:] == [
        "| [`reads`](#reads-get-apimoviesid) | gateway : naive gateway | 12.00 | ≥ 8 | met |",
        "| [`purge`](#purge-old) | purge : alone | 4.07 | ≥ 1 | met |",
    ]


def test_figures_replace_those_between_the_marks_of_a_document(tmp_path: Path) -> None:
    file = tmp_path / "performance.md"
    file.write_text(f"How.\n\n{page.BEGIN}\nold\n\n{page.END}\nWhy.\n")
    for load in (1.0, 2.0):
        page.put(file, replace(RUN, load=load))
        text = file.read_text()
        assert text.startswith(f"How.\n\n{page.BEGIN}") and text.endswith(f"{page.END}\nWhy.\n")
        assert "old" not in text
        assert text.count("### `reads`") == text.count("### Aims") == 1
        assert f"| load average before | {load:.2f} |" in text


def test_rows_that_a_run_did_not_measure_stay_in_their_order(tmp_path: Path) -> None:
    file = tmp_path / "performance.md"
    kept = "### `purge`: old\n\ndeleted\n\n### `reads`: old\n\nread"
    file.write_text(f"{page.BEGIN}\n| what | value |\n\n{kept}\n\n{page.END}")
    page.put(file, RUN)
    text = file.read_text()
    # long rows come last
    assert text.index("### `reads`: GET") < text.index("### `purge`: old\n\ndeleted")
    assert "### `reads`: old" not in text


def test_a_file_without_marks_holds_the_figures_alone(tmp_path: Path) -> None:
    file = tmp_path / "figures.md"
    file.write_text("old\n")
    page.put(file, RUN)
    assert file.read_text() == page.document(RUN, "figures", {})


def test_the_document_has_marks_for_its_figures() -> None:
    text = (CHECKOUT / "docs" / "performance.md").read_text()
    assert text.index(page.BEGIN) < text.index(page.END)


def test_pictures_lie_beside_the_page_which_shows_them(tmp_path: Path) -> None:
    file = tmp_path / "performance.md"
    page.put(file, replace(RUN, results=[replace(ROW, plots=[LINES])]))
    for name in ("reads", "curve"):
        assert f"(performance/{name}.svg)" in file.read_text()
        assert (tmp_path / "performance" / f"{name}.svg").exists()


def test_a_picture_is_svg_for_light_and_dark_without_a_script() -> None:
    for picture in pictures.pictures(replace(ROW, plots=[LINES]), "performance"):
        root = ElementTree.fromstring(picture.svg)
        assert root.tag == f"{SVG}svg"
        assert int(root.attrib["width"]) <= 400
        assert "prefers-color-scheme: dark" in picture.svg
        assert not root.findall(f".//{SVG}script")


def test_bars_are_as_long_as_their_share_of_the_aim() -> None:
    [picture] = pictures.pictures(ROW, "performance")
    root = ElementTree.fromstring(picture.svg)
    [bar] = [rect for rect in root.findall(f"{SVG}rect") if rect.get("class") in ("met", "missed")]
    assert (bar.get("class"), bar.get("width")) == ("met", str(pictures.AIM_AT * 12 / 8))


def test_a_name_with_a_bracket_is_text() -> None:
    plot = Plot("curve", "a < b", "x & y", "ms", [Series("<gateway>", [(1, 1)])])
    root = ElementTree.fromstring(pictures.lines(plot))
    assert "<gateway>" in [text.text for text in root.findall(f"{SVG}text")]


def test_an_axis_has_round_values_within_what_it_spans() -> None:
    axis = pictures.Axis([1_000, 10_000_000], 0.0, 100.0)
    labels = [label for _, label in axis.ticks()]
    assert labels[:3] == ["1k", "10k", "100k"]
    assert all(0 <= position <= 100 for position, _ in axis.ticks())


@pytest.mark.parametrize("values", [[], [0.0], [5.0], [5.0, 5.0], [0.02, 3.0]])
def test_an_axis_spans_any_values(values: list[float]) -> None:
    axis = pictures.Axis(values, 0.0, 100.0)
    assert len(axis.ticks()) >= 2
    assert all(0 <= axis.at(value) <= 100 for value in values)
