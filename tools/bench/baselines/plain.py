"""Flask on granian, with the options of the platform's own servers and nothing behind it.

python -m tools.bench.baselines.plain HOST PORT WORKERS THREADS
"""

import os
import sys

from flask import Flask, Response, jsonify

from chassis.http import server
from chassis.settings import PortSettings, ServerSettings

app = Flask(__name__)


@app.route("/api/movies/<int:movie_id>")
def movie(movie_id: int) -> Response:
    """Answer as inventory would, at once."""
    return jsonify(id=movie_id, title="The Matrix", description="What is it?")


def main(host: str, port: str, workers: str, threads: str) -> None:
    """Serve, in place of this process."""
    settings = ServerSettings(bind=host, workers=int(workers), threads=int(threads))
    options = server.options_of(settings, PortSettings(port=int(port)))
    command = [sys.executable, "-m", "granian", *options, "tools.bench.baselines.plain:app"]
    os.execv(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
