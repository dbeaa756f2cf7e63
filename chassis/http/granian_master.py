"""granian's master, run as a script: its own log lines wait for no reader.

    python -I chassis/http/granian_master.py PROCESS OPTION... TARGET

It imports no module of ours, which it would hand on to new workers: they are its forks, and have to
load the code of the day (chassis/http/server.py).
"""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    process = sys.argv.pop(1)
    output = runpy.run_path(str(Path(__file__).parents[1] / "log_output.py"))["Output"]
    sys.stdout = output(1, process)
    runpy.run_module("granian", run_name="__main__", alter_sys=True)
