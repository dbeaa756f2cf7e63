"""The gateway's commands."""

from chassis import cli, logs, service_commands
from chassis.http import server
from gateway.auth.commands import token
from gateway.cache import preparation as cache
from gateway.edge import rate_limit
from gateway.settings import load


def serve() -> None:
    """Serve HTTP (PM2 process gateway)."""
    settings = load()
    logs.configure("gateway")
    rate_limit.prepare(settings.counters, settings.server.workers)
    cache.prepare(settings.cache, settings.versions)
    server.run("gateway", "gateway.wsgi:app", settings.server, settings.port)


def targets() -> None:
    """Print the targets of Prometheus, as a file for its file_sd_configs."""
    from gateway.status import targets

    cli.echo(targets.render(load().platform))


commands = service_commands.declare(
    "gateway",
    {"serve": serve, "relay": ("gateway.relay:run", "Publish the messages of the outbox")},
    migrate="Upgrade gateway_db to the newest revision.",
    token=token,
    targets=targets,
)

if __name__ == "__main__":
    commands()
