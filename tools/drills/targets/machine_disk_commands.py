"""The shell commands that move a server's data to a small disk, fill it, and move them back."""

from tools.drills.targets.machine_commands import RABBITMQ

IMAGE, ASIDE = "/var/lib/crud-master-drill.img", "/mnt/crud-master-drill"
ROOM_MB = 200
NO_LOOP = 3
"""The exit status where a file can't be mounted."""


def small_disk(server: str) -> str:
    """Move a server's data to a small file system of their own, in a file."""
    unit, place = _home(server)
    return f"""\
set -e
sudo systemctl stop {unit}
size=$(($(sudo du -sm {place} | cut -f 1) + {ROOM_MB}))
sudo truncate -s "${{size}}M" {IMAGE}
sudo mkfs.ext4 -q -m 0 {IMAGE}
sudo mkdir -p {ASIDE}
if ! sudo mount -o loop {IMAGE} {ASIDE}; then
  sudo systemctl start {unit}
  exit {NO_LOOP}
fi
sudo cp -a {place}/. {ASIDE}/
sudo mount --bind {ASIDE} {place}
sudo systemctl start {unit}
"""


def whole_disk(server: str) -> str:
    """Move the data back."""
    unit, place = _home(server)
    return f"""\
set -e
sudo systemctl stop {unit}
sudo umount {place}
sudo find {place} -mindepth 1 -delete
sudo cp -a {ASIDE}/. {place}/
sudo umount {ASIDE}
sudo rm -rf {IMAGE} {ASIDE}
sudo systemctl start {unit}
"""


def fill(server: str) -> str:
    """Fill the small file system to the last byte."""
    _unit, place = _home(server)
    return f"sudo dd if=/dev/zero of={place}/filler bs=1M status=none 2>/dev/null || true"


def free(server: str) -> str:
    """Free the space, and restart the server."""
    unit, place = _home(server)
    return f"sudo rm -f {place}/filler && sudo systemctl restart {unit}"


def _home(server: str) -> tuple[str, str]:
    if server == "rabbitmq":
        return RABBITMQ, "/var/lib/rabbitmq"
    return "postgresql.service", "/var/lib/postgresql"
