"""The commands that act on a machine, as they are typed there."""

import shlex

from tools.drills.targets.network import LOSS
from tools.stack.servers.rabbitmq import STOP_QUEUES

# a restart would not end the postmaster, which is a unit of its own per cluster
POSTGRESQL, RABBITMQ = "postgresql@*.service", "rabbitmq-server.service"
PM2_PID = "/var/lib/crud-master/pm2/pm2.pid"
TABLE = "crud_master_drill"


def process(action: str, name: str) -> str:
    """Have PM2 stop or start a process."""
    return f"pm2 {action} {name}"


def kill(name: str) -> str:
    """Kill -9 a process of PM2's, if it runs just now."""
    return f'pid=$(pm2 pid {name}); [[ ! $pid -gt 0 ]] || sudo kill -9 "$pid"'


def freeze(name: str) -> str:
    """SIGSTOP a process of PM2's and its children."""
    return _family("STOP", name)


def thaw(name: str) -> str:
    """SIGCONT a process of PM2's and its children."""
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
    """Stop, start, restart or kill (-9) a server; systemd starts a killed one again."""
    unit = RABBITMQ if name == "rabbitmq" else POSTGRESQL
    if action == "kill":
        return f"sudo systemctl kill -s KILL {shlex.quote(unit)}"
    # a pattern names units that run, and so none to start
    started = unit if name == "rabbitmq" else "postgresql.service"
    return f"sudo systemctl {action} {started}"


def query(database: str) -> str:
    """Put the statement on standard input to a database, and show the bare answer."""
    return f"sudo -u postgres psql -qXAt -v ON_ERROR_STOP=1 -d {shlex.quote(database)}"


def disk_limit(limit: str) -> str:
    """Say how much disk has to be free, or RabbitMQ blocks publishers."""
    return f"sudo rabbitmqctl -q set_disk_free_limit {limit}"


def stop_queues() -> str:
    """End RabbitMQ's quorum queues, while the broker runs on."""
    return f"sudo rabbitmqctl -q eval {shlex.quote(STOP_QUEUES)}"


def orphans() -> str:
    """Show the services' processes whose parent is gone: number and name; PM2 itself is one."""
    return "ps --ppid 1 -o pid=,comm=,user= | awk '$NF == \"app\"'"


def mails() -> str:
    """Name all mails in the Maildir."""
    return "sudo find /var/lib/crud-master/processes/mail/{new,cur} -type f -printf '%f\\n'"


def disturbing(effect: str, address: str, port: int) -> str:
    """Disturb what comes to a port of this machine from others, and goes back."""
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
    """Undo `disturbing`; fine if there is nothing to undo."""
    return (
        f"sudo nft delete table inet {TABLE} 2>/dev/null || true;"
        f" sudo tc qdisc del dev {_interface(address)} root 2>/dev/null || true"
    )


def _interface(address: str) -> str:
    return f"$(ip -4 -o address show to {address}/32 | awk '{{print $2; exit}}')"


def restarting(broker: bool) -> str:
    """Restart every server and process of a machine."""
    units = [*([RABBITMQ] if broker else []), "postgresql.service", "crud-master.service"]
    return f"sudo systemctl restart {' '.join(units)}"


def logs(since: float) -> str:
    """Show what the processes and servers have logged since a time (seconds since 1970)."""
    recent = f"sudo find /var/lib/crud-master/pm2/logs -name '*.log' -newermt @{since:.0f}"
    return f"{recent} -exec tail -n 20000 {{}} +; sudo journalctl --since @{since:.0f} --no-pager"
