"""The metrics of a server's worker processes."""

import os
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict

from chassis import metrics

NOBODY = 2**22 + 1  # above the highest process id that Linux gives


def test_the_gauges_of_a_worker_that_has_ended_are_forgotten_and_its_counters_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(metrics.DIRECTORY_VARIABLE, str(tmp_path))
    kept = {f"gauge_livemax_{os.getpid()}.db", f"counter_{NOBODY}.db", f"histogram_{NOBODY}.db"}
    for name in (*kept, f"gauge_livemax_{NOBODY}.db", f"gauge_livesum_{NOBODY}.db"):
        MmapedDict(str(tmp_path / name)).close()
    metrics.render()
    assert {file.name for file in tmp_path.iterdir()} == kept
