"""No modules import each other in a circle, directly or through others; nothing imports a test."""

import sys

import grimp
import pytest

from tools.stack.layout import CHECKOUT, SERVICES

PACKAGES = ("chassis", *SERVICES, "tools", "tests")


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """Which module imports which, lazy imports included."""
    assert str(CHECKOUT) in sys.path
    return grimp.build_graph(*PACKAGES, cache_dir=None)


def circle_through(graph: grimp.ImportGraph, module: str) -> list[str]:
    """The modules of a circle from `module` back to itself; empty if there is none."""
    for imported in sorted(graph.find_modules_directly_imported_by(module)):
        if chain := graph.find_shortest_chain(imported, module):
            return [module, *chain]
    return []


def test_no_modules_import_each_other_in_a_circle(graph: grimp.ImportGraph) -> None:
    circles = [circle_through(graph, module) for module in sorted(graph.modules)]
    assert [" -> ".join(circle) for circle in circles if circle] == []


def test_a_circle_is_found_with_its_modules() -> None:
    graph = grimp.ImportGraph()
    for importer, imported in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")):
        graph.add_import(importer=importer, imported=imported)
    assert circle_through(graph, "b") == ["b", "c", "a", "b"]
    assert circle_through(graph, "d") == []


def test_no_test_is_imported_nor_a_conftest(graph: grimp.ImportGraph) -> None:
    names = [module for module in graph.modules if module.startswith("tests.")]
    tests = [name for name in names if name.rpartition(".")[2].startswith(("test_", "conftest"))]
    assert tests
    assert [name for name in tests if graph.find_modules_that_directly_import(name)] == []
