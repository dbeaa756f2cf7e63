"""The gateway's commands: serve, relay, migrate, token, targets."""

from chassis import cli, logs
from chassis.http import server, worker_process
from gateway.auth.commands import token
from gateway.edge import rate_limit
from gateway.settings import load


def serve() -> None:
    """Serve HTTP (PM2 process gateway)."""
    settings = load()
    logs.configure("gateway")
    rate_limit.prepare(settings.counters, settings.server.workers)
    server.run("gateway", "gateway.wsgi:app", settings.server, settings.port)


def relay() -> None:
    """Publish the messages of the outbox (PM2 process gateway-relay)."""
    from gateway import relay

    logs.configure(relay.PROCESS)
    relay.run(load(), worker_process.stop_event())


def migrate() -> None:
    """Upgrade gateway_db to the newest revision."""
    from chassis.storage import migrations

    logs.configure("gateway-migrate")
    migrations.upgrade("gateway", load().database)


def targets() -> None:
    """Print the targets of Prometheus, as a file for its file_sd_configs."""
    from gateway.status import targets

    cli.echo(targets.render(load().platform))


commands = cli.group(
    "gateway", serve=serve, relay=relay, migrate=migrate, token=token, targets=targets
)

if __name__ == "__main__":
    commands()
