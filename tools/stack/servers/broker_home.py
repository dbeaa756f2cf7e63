"""The configuration files and variables of a private RabbitMQ."""

import hashlib
import json
import os
from pathlib import Path

from provisioning.rabbitmq.definitions import definitions

# memory: enough for a drill's thousands of waiting messages on a laptop that runs everything else
CONFIGURATION = """\
listeners.tcp.1 = {host}:{port}
management.tcp.ip = {host}
management.tcp.port = {management_port}
load_definitions = {home}/definitions.json
log.file.level = warning
vm_memory_high_watermark.absolute = 512MiB
raft.wal_max_size_bytes = 33554432
"""
ERLANG = "+S 2:2 -kernel inet_dist_use_interface {127,0,0,1}"
# a container may have no /etc/hosts
NAMES = '{host, {127,0,0,1}, ["localhost"]}.\n{lookup, [file, native]}.\n'
PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


class BrokerHome:
    """The directory of one broker."""

    def __init__(self, path: Path, host: str, port: int, management_port: int) -> None:
        self.path = path
        self.definitions = path / "definitions.json"
        self.node = f"rabbit-{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}@localhost"
        self._configuration = CONFIGURATION.format(
            home=path, host=host, port=port, management_port=management_port
        )

    def write(self, variables: dict[str, str], version: str) -> None:
        """Write all files for a broker of `version`, readable for the owner only."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file, text in self._files(variables, version).items():
            file.touch(mode=0o600)
            file.write_text(text)

    def exist(self) -> bool:
        """Whether the files were written before."""
        return self.definitions.exists()

    def holds(self, variables: dict[str, str], version: str) -> bool:
        """Whether the files say what `write` would write."""
        wanted = self._files(variables, version).items()
        return all(file.exists() and file.read_text() == text for file, text in wanted)

    def environment(self) -> dict[str, str]:
        """The variables that replace /etc/rabbitmq and the directories below /var."""
        places = {
            "CONF_ENV_FILE": "none",
            "CONFIG_FILE": "rabbitmq.conf",
            "CONFIG_FILES": "conf.d",
            "ADVANCED_CONFIG_FILE": "advanced.config",
            "ENABLED_PLUGINS_FILE": "enabled_plugins",
            "MNESIA_BASE": "data",
            "LOG_BASE": "log",
        }
        return {
            **{f"RABBITMQ_{name}": str(self.path / file) for name, file in places.items()},
            "PATH": PATH,
            "HOME": str(self.path),
            "LANG": "C.UTF-8",
            "ERL_INETRC": str(self.path / "inetrc"),
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG,
            # makes the start script replace itself, so that its process id is the broker's
            "RABBITMQ_ALLOW_INPUT": "1",
        }

    def _files(self, variables: dict[str, str], version: str) -> dict[Path, str]:
        return {
            self.definitions: json.dumps(definitions(variables, version), indent=2),
            self.path / "rabbitmq.conf": self._configuration,
            self.path / "advanced.config": "[].\n",
            self.path / "enabled_plugins": "[rabbitmq_management].\n",
            self.path / "inetrc": NAMES,
        }
