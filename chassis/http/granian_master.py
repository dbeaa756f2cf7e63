"""Runs granian's master as a script, with log output that never blocks.

    python -I chassis/http/granian_master.py PROCESS OPTION... TARGET

It imports no module of ours: workers are its forks and would inherit the old module, and they must
load the current code (chassis/http/server.py). It imports the libraries, whose memory the workers
then share: these change with requirements.lock alone, and then the master is started again.
"""

import gc
import runpy
import sys
from importlib import import_module
from pathlib import Path

# not prometheus_client, which opens the files of its process when it is imported
_LIBRARIES = (
    "flask",
    "httptools",
    "orjson",
    "psycopg2.extensions",
    "pydantic.json_schema",
    "pydantic_settings",
    "sqlalchemy.dialects.postgresql",
    "yaml",
)


def import_libraries() -> None:
    """Import what all services use, and have no garbage collection write to its pages."""
    for name in _LIBRARIES:
        import_module(name)
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    process = sys.argv.pop(1)
    output = runpy.run_path(str(Path(__file__).parents[1] / "log_output.py"))["Output"]
    sys.stdout = output(1, process)
    # a single worker has nobody to share with
    if "--workers=1" not in sys.argv:
        import_libraries()
    runpy.run_module("granian", run_name="__main__", alter_sys=True)
