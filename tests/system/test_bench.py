"""`./stack bench`: that it measures and leaves nothing behind. No figure is asserted."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bench.nginx import PROGRAM
from bench.rows import reads
from local.layout import CHECKOUT, INSTALLED

RIVALS = {reads.GATEWAY, reads.DIRECT, reads.NGINX, reads.NAIVE, reads.PLAIN}
missing = not (shutil.which("wrk") and Path(PROGRAM).exists())


@pytest.mark.skipif(missing and os.geteuid() != 0, reason="only root can install wrk and nginx")
def test_a_quick_run_of_a_row_has_figures_of_every_rival(tmp_path: Path) -> None:
    file, kept = tmp_path / "run.json", set(INSTALLED.glob("bench/*.json"))
    command = [str(CHECKOUT / "stack"), "bench", "--quick", "reads", "--json", str(file)]
    own = {**os.environ, "TMPDIR": "/tmp"}
    done = subprocess.run(command, capture_output=True, text=True, env=own)
    assert done.returncode == 0, done.stdout + done.stderr
    [row] = json.loads(file.read_text())["rows"]
    assert {figure["rival"] for figure in row["figures"]} == RIVALS
    for figure in row["figures"]:
        assert figure["medians"]["rate"] > 0
        assert 0 < figure["medians"]["p50"] <= figure["medians"]["p99"]
        assert figure["what"] and figure["cpu_seconds"]
    assert "gateway : naive gateway" in done.stdout
    [new] = set(INSTALLED.glob("bench/*.json")) - kept
    assert json.loads(new.read_text()) == json.loads(file.read_text())
    new.unlink()
