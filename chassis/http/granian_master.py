"""Runs granian's master as a script, with log output that never blocks.

    python -I chassis/http/granian_master.py PROCESS OPTION... TARGET

It imports no module of ours: workers are its forks and would inherit the old module, and they must
load the current code (chassis/http/server.py).
"""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    process = sys.argv.pop(1)
    output = runpy.run_path(str(Path(__file__).parents[1] / "log_output.py"))["Output"]
    sys.stdout = output(1, process)
    runpy.run_module("granian", run_name="__main__", alter_sys=True)
