"""Workers and their master."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from chassis.http import server
from tests.support.servers import DATABASES
from tools.stack import processes
from tools.stack.layout import CHECKOUT
from tools.stack.waiting import wait_until

# as granian's master has it, its handler only notes the signal, and its workers inherit that
MASTER = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: None)
if os.fork() == 0:
    from chassis.http import server
    server.die_with_parent(0.5)
    if sys.argv[1] == "serving":
        signal.signal(signal.SIGTERM, lambda *_: None)
    print(os.getpid(), flush=True)
# a worker that has failed is the end of what the test reads
os.close(1)
while True:
    time.sleep(0.1)
"""


@pytest.fixture
def pids(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """A master and its worker, which is loading its code or serving."""
    command = [sys.executable, "-c", MASTER, request.param]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as master:
        assert master.stdout
        worker = int(master.stdout.readline())
        yield master.pid, worker
        for pid in (master.pid, worker):
            if processes.alive(pid):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("pids", ["loading", "serving"], indirect=True)
def test_a_worker_ends_with_its_killed_master_whatever_it_does_with_sigterm(
    pids: tuple[int, int],
) -> None:
    master, worker = pids
    os.kill(master, signal.SIGKILL)
    wait_until(lambda: not processes.alive(worker), 20, "the worker to end")


def test_no_setting_stays_in_the_environment_of_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    lasting = {"PATH": "/bin", "PGSSLMODE": "prefer", "PROMETHEUS_MULTIPROC_DIR": "/tmp/x"}
    # libpq connects, and names are resolved, after this
    lasting |= {"OPENSSL_CONF": "/o", "KRB5CCNAME": "/k", "KRB5_CONFIG": "/k", "RES_OPTIONS": "r"}
    settings = {"ORDERS_DB_PASSWORD": "secret", "HTTP_PROXY": "http://proxy", "pm_id": "1"}
    monkeypatch.setattr(os, "environ", {**lasting, **settings})
    server.forget_settings()
    assert os.environ == lasting


def test_the_master_imports_libraries_alone_so_that_workers_load_the_current_code() -> None:
    code = f"""
import gc, runpy, sys
runpy.run_path({str(server.MASTER)!r})["import_libraries"]()
print(*{{name.partition(".")[0] for name in sys.modules}}, gc.get_freeze_count() > 0)
"""
    command = [sys.executable, "-I", "-c", code]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert {"flask", "sqlalchemy", "True"} <= imported
    # the files of prometheus_client belong to the process that imports it
    assert not imported & {"prometheus_client", "chassis", *DATABASES}
