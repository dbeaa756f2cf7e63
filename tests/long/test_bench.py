"""`./stack bench`: that it measures and leaves nothing behind. No figure is asserted."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.bench.environment import CACHE, overrides
from tools.bench.nginx import PROGRAM
from tools.bench.scenarios import hanging, reads
from tools.stack.layout import CHECKOUT, INSTALLED

CACHED = {reads.CACHED} if CACHE in overrides() else set()
RIVALS = {
    "reads": CACHED
    | {reads.GATEWAY, reads.DIRECT, reads.NGINX, reads.NAIVE, reads.CHAIN, reads.PLAIN},
    "hanging": {hanging.ALONE, hanging.WELL, hanging.HANGING},
}
missing = not (shutil.which("wrk") and Path(PROGRAM).exists())


@pytest.mark.skipif(missing and os.geteuid() != 0, reason="only root can install wrk and nginx")
def test_a_quick_run_of_rows_has_figures_of_every_rival(tmp_path: Path) -> None:
    file, kept = tmp_path / "run.json", set(INSTALLED.glob("bench/*.json"))
    command = [str(CHECKOUT / "stack"), "bench", "--quick", *RIVALS, "--json", str(file)]
    own = {**os.environ, "TMPDIR": "/tmp"}
    done = subprocess.run(command, capture_output=True, text=True, env=own)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(file.read_text())["rows"]
    assert {row["name"]: {f["rival"] for f in row["figures"]} for row in rows} == RIVALS
    for figure in (figure for row in rows for figure in row["figures"]):
        assert figure["medians"]["rate"] > 0
        assert 0 < figure["medians"]["p50"] <= figure["medians"]["p99"]
        assert figure["what"] and figure["cpu_seconds"]
    assert "gateway : naive gateway" in done.stdout
    [new] = set(INSTALLED.glob("bench/*.json")) - kept
    assert json.loads(new.read_text()) == json.loads(file.read_text())
    new.unlink()
