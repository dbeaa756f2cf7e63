"""Figures of the benchmark, for tests of its reports."""

from tools.bench.document import Run
from tools.bench.figures import Figure, Plot, Result, Sample, Series, at_least, ratio
from tools.bench.usage import Usage

USAGE = Usage({"gateway": 4.0, "mail-worker": 0.001}, {"gateway": 140_000_000}, 0.25)
FAST = Figure("gateway", "wrk -c16", [Sample(1200.0, 8.0, 20.0, 31.5)] * 2, USAGE)
SLOW = Figure("naive gateway", "flask run", [Sample(100.0, 80.0, 200.0, 315.0, failed=3)], USAGE)
ROW = Result(
    "reads",
    "GET /api/movies/{id}",
    [FAST, SLOW],
    [at_least(8, "gateway : naive gateway", 1200, 100), ratio("gateway : nginx", 1200, 2400)],
    {"start": "9.5 s"},
    load=0.5,
)
LINES = Plot(
    "curve", "Latency", "requests a second", "ms", [Series("gateway, p99", [(50, 9), (100, 20)])]
)
RUN = Run("2026-11-22T11:20:00Z", {"processor": "one, 2 cores", "commit": "abc"}, 0.4, [ROW])
