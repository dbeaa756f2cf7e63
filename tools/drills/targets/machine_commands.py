"""The shell commands that act on a machine."""

import shlex
from collections.abc import Sequence

from tools.drills.targets.network import LOSS
from tools.stack.servers.rabbitmq import STOP_QUEUES

# each cluster's postmaster is a unit of its own, which restarting postgresql.service would not end
POSTGRESQL, RABBITMQ = "postgresql@*.service", "rabbitmq-server.service"
REDIS, REDIS_SOCKET = "redis-server.service", "/run/redis/crud-master.sock"
PM2_PID = "/var/lib/crud-master/pm2/pm2.pid"
TABLE = "crud_master_drill"


def process(action: str, name: str) -> str:
    """Have PM2 stop or start a process."""
    return f"pm2 {action} {name}"


def kill(name: str) -> str:
    """Kill -9 a process of PM2, if it runs."""
    return f'pid=$(pm2 pid {name}); [[ ! $pid -gt 0 ]] || sudo kill -9 "$pid"'


def freeze(name: str) -> str:
    """SIGSTOP a process of PM2 and its children."""
    return _family("STOP", name)


def thaw(name: str) -> str:
    """SIGCONT a process of PM2 and its children."""
    return _family("CONT", name)


def _family(sign: str, name: str) -> str:
    # 0 would be the shell's own process group
    runs = f"pid=$(pm2 pid {name}); [[ ! $pid -gt 0 ]]"
    return f'{runs} || sudo kill -{sign} "$pid" $(pgrep -P "$pid")'


def freeze_pm2() -> str:
    """SIGSTOP PM2 itself."""
    return f'sudo kill -STOP "$(sudo cat {PM2_PID})"'


def thaw_pm2() -> str:
    """SIGCONT PM2; fine if it does not run."""
    return f'sudo kill -CONT "$(sudo cat {PM2_PID})" || true'


def server(action: str, name: str) -> str:
    """Stop, start, restart or kill (-9) a server; systemd starts a killed one again.

    Redis can also be frozen, thawed and flushed.
    """
    if name == "redis":
        return _redis(action)
    unit = RABBITMQ if name == "rabbitmq" else POSTGRESQL
    if action == "kill":
        return f"sudo systemctl kill -s KILL {shlex.quote(unit)}"
    # a pattern matches running units only, so it can start none
    started = unit if name == "rabbitmq" else "postgresql.service"
    return f"sudo systemctl {action} {started}"


def _redis(action: str) -> str:
    if action == "flush":
        return f"sudo runuser -u app -- redis-cli -s {REDIS_SOCKET} flushall"
    signals = {"kill": "KILL", "freeze": "STOP", "thaw": "CONT"}
    if action in signals:
        return f"sudo systemctl kill -s {signals[action]} {REDIS}"
    return f"sudo systemctl {action} {REDIS}"


def query(database: str) -> str:
    """Run the statement on standard input in a database, and print the bare answer."""
    return f"sudo -u postgres psql -qXAt -v ON_ERROR_STOP=1 -d {shlex.quote(database)}"


def disk_limit(limit: str) -> str:
    """Set the free disk space below which RabbitMQ blocks publishers."""
    return f"sudo rabbitmqctl -q set_disk_free_limit {limit}"


def stop_queues() -> str:
    """Stop RabbitMQ's quorum queues, while the broker keeps running."""
    return f"sudo rabbitmqctl -q eval {shlex.quote(STOP_QUEUES)}"


def orphans() -> str:
    """List the services' processes without a parent: id and name; PM2 itself is one."""
    return "ps --ppid 1 -o pid=,comm=,user= | awk '$NF == \"app\"'"


def mails() -> str:
    """List the mails in the Maildir."""
    return "sudo find /var/lib/crud-master/processes/mail/{new,cur} -type f -printf '%f\\n'"


def disturbing(effect: str, address: str, port: int) -> str:
    """Disturb the traffic between a port of this machine and other machines."""
    if effect == "delayed":
        return f"sudo tc qdisc replace dev {_interface(address)} root netem delay 300ms"
    which = LOSS if effect == "lossy" else ""
    rules = f"""\
table inet {TABLE} {{
  chain arriving {{
    type filter hook input priority -1;
    iifname != "lo" tcp dport {port} {which}drop
  }}
  chain leaving {{
    type filter hook output priority -1;
    oifname != "lo" tcp sport {port} {which}drop
  }}
}}
"""
    return f"sudo nft -f - <<'RULES'\n{rules}RULES"


def calming(address: str) -> str:
    """Undo `disturbing`; does nothing if there is nothing to undo."""
    return (
        f"sudo nft delete table inet {TABLE} 2>/dev/null || true;"
        f" sudo tc qdisc del dev {_interface(address)} root 2>/dev/null || true"
    )


def _interface(address: str) -> str:
    return f"$(ip -4 -o address show to {address}/32 | awk '{{print $2; exit}}')"


def restarting(servers: Sequence[str]) -> str:
    """Restart every server and process of a machine, whose role has these `servers`."""
    own = [unit for name, unit in (("rabbitmq", RABBITMQ), ("redis", REDIS)) if name in servers]
    units = [*own, "postgresql.service", "crud-master.service"]
    return f"sudo systemctl restart {' '.join(units)}"


def logs(since: float) -> str:
    """Print the logs of processes and servers since a time (seconds since 1970)."""
    recent = f"sudo find /var/lib/crud-master/pm2/logs -name '*.log' -newermt @{since:.0f}"
    return f"{recent} -exec tail -n 20000 {{}} +; sudo journalctl --since @{since:.0f} --no-pager"
