"""The metrics of a server's worker processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict

from chassis import metrics
from chassis.metric_files import DIRECTORY_VARIABLE
from tools.stack.layout import CHECKOUT

NOBODY = 2**22 + 1  # above the highest process id that Linux gives


def test_the_gauges_of_a_worker_that_has_ended_are_forgotten_and_its_counters_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path))
    kept = {f"gauge_livemax_{os.getpid()}.db", f"counter_{NOBODY}.db", f"histogram_{NOBODY}.db"}
    for name in (*kept, f"gauge_livemax_{NOBODY}.db", f"gauge_livesum_{NOBODY}.db"):
        MmapedDict(str(tmp_path / name)).close()
    metrics.render()
    assert {file.name for file in tmp_path.iterdir()} == kept


REMOVED = """
import shutil, sys
from pathlib import Path
from chassis import metric_files
metric_files.LOOK_SECONDS = 0.0
from chassis import logs, metrics
directory = Path(sys.argv[1])
logs.DROPPED.inc(3)
assert b"log_lines_dropped_total 3.0" in metrics.render()
if sys.argv[2] == "directory":
    shutil.rmtree(directory)
elif sys.argv[2] == "parent":
    shutil.rmtree(directory.parent)
else:
    [file.unlink() for file in directory.iterdir()]
metrics.render()
logs.DROPPED.inc(2)
assert b"log_lines_dropped_total 2.0" in metrics.render()
logs.DROPPED.inc()
assert b"log_lines_dropped_total 3.0" in metrics.render()
if sys.argv[2] == "parent":
    shutil.rmtree(directory.parent)
    directory.parent.touch()
    logs.DROPPED.inc()
"""


@pytest.mark.parametrize("what", ["directory", "parent", "files"])
def test_metrics_restart_when_their_files_are_removed(tmp_path: Path, what: str) -> None:
    directory = tmp_path / "process" / "metrics"
    directory.mkdir(parents=True)
    subprocess.run(
        [sys.executable, "-c", REMOVED, str(directory), what],
        cwd=CHECKOUT,
        env={**os.environ, DIRECTORY_VARIABLE: str(directory)},
        check=True,
    )


def test_a_worker_without_metrics_does_not_affect_the_others(tmp_path: Path) -> None:
    begun = (
        "from chassis import metric_files; from prometheus_client import CollectorRegistry, "
        "generate_latest, multiprocess; registry = CollectorRegistry(); "
        "multiprocess.MultiProcessCollector(registry); print(generate_latest(registry)); "
        "from chassis import logs, metrics; logs.DROPPED.inc(100); "
        "assert b'log_lines_dropped_total 100.0' in metrics.render()"
    )
    subprocess.run(
        [sys.executable, "-c", begun],
        cwd=CHECKOUT,
        env={**os.environ, DIRECTORY_VARIABLE: str(tmp_path)},
        check=True,
    )
