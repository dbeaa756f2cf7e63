"""nginx as a gateway: `proxy_pass` over kept-alive connections."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tools.bench.environment import Environment
from tools.bench.programs import Program
from tools.stack import ports

# Debian's own path; it is not in an ordinary user's PATH
PROGRAM = "/usr/sbin/nginx"
CONFIGURATION = """\
daemon off;
worker_processes 2;
pid {home}/nginx.pid;
error_log {home}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log {home}/access.log;
  client_body_temp_path {home}/body;
  proxy_temp_path {home}/proxy;
  fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi;
  scgi_temp_path {home}/scgi;
  upstream inventory {{ server {upstream}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://inventory;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }}
  }}
}}
"""


def configuration(home: Path, port: int, upstream: str) -> str:
    """The nginx.conf of a gateway on a port, with all its files in `home`."""
    return CONFIGURATION.format(home=home, port=port, upstream=urlsplit(upstream).netloc)


@contextmanager
def gateway(environment: Environment) -> Iterator[str]:
    """Run nginx in front of inventory-api; yields its address."""
    program, port = Program(environment, "nginx"), ports.free_port()
    file = program.home / "nginx.conf"
    file.write_text(configuration(program.home, port, environment.upstream))
    command = [PROGRAM, "-p", str(program.home), "-e", str(program.home / "error.log")]
    with program.serving([*command, "-c", str(file)], port) as address:
        yield address
