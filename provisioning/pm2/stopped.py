"""Which of the named processes PM2 does not run: a comma-separated list, empty if it runs them all.

pm2 jlist | python3 provisioning/pm2/stopped.py NAME...
"""

import json
import sys
from collections.abc import Iterable

RUNNING = {"online", "launching", "waiting restart"}


def stopped(answer: str, names: Iterable[str]) -> list[str]:
    """Of `names`, those that the answer of `pm2 jlist` does not show as running."""
    processes = json.loads(answer[answer.index("[") :])
    running = {p["name"] for p in processes if p["pm2_env"]["status"] in RUNNING}
    return [name for name in names if name not in running]


if __name__ == "__main__":
    sys.stdout.write(",".join(stopped(sys.stdin.read(), sys.argv[1:])))
