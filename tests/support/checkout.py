"""A copy of the checkout with its own stack, started as a newcomer starts it."""

import compileall
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.stack import lifecycle, port_allocation, variables
from tools.stack.layout import CHECKOUT, INSTALLED, SERVICES
from tools.stack.servers import data_directories
from tools.stack.stack import ENV_FILE, Stack

# what ./stack up would install again: directories of .stack, and the lock files they are made from
SHARED = {
    "venv": "requirements.lock",
    "pm2": "provisioning/pm2/package-lock.json",
    "swagger-ui": "provisioning/swagger-ui/package-lock.json",
}
STAMP = 'source provisioning/lib/python.sh; stamp_of "$1"'
LEFT_OUT = shutil.ignore_patterns(".git", ".stack", ".env", "__pycache__", ".*_cache")


class Checkout:
    """The copy; `ports` has its port for each port of .env.example."""

    def __init__(self, home: Path) -> None:
        self.home = home / "crud-master"
        shutil.copytree(CHECKOUT, self.home, ignore=LEFT_OUT)
        # once, before two dozen processes do it at the same time
        for package in ("chassis", "tools", *SERVICES):
            compileall.compile_dir(self.home / package, quiet=1)
        (self.home / ".stack").mkdir()
        (self.home / ".stack" / "bin").symlink_to(INSTALLED / "bin")
        for name, lock in SHARED.items():
            self._share(name, self.home / lock)
        example, chosen = variables.example(), port_allocation.choose_private()
        own = {name: str(port) for name, port in chosen.items() if name in example}
        env = self.home / ".env"
        env.write_text("".join(f"{name}={port}\n" for name, port in own.items()))
        env.chmod(0o600)
        names = ("GATEWAY_PORT", "RABBITMQ_MANAGEMENT_PORT", "BILLING_CONSUMER_PORT")
        self.ports = {example[name]: own[name] for name in names}

    def start(self, tries: int = 3) -> None:
        """Start the stack; `up` is repeated, since it may time out on a busy machine."""
        for left in reversed(range(tries)):
            done = self._run("up", seconds=300)
            # it would be installed into what others use, too
            assert "Installing" not in done.stdout
            if done.returncode == 0:
                return
            assert left and "in vain" in done.stdout, done.stdout

    def _share(self, name: str, lock: Path) -> None:
        """Link the installed programs; the copy has its own stamp, which names its lock file."""
        directory = self.home / ".stack" / name
        directory.mkdir()
        for path in (INSTALLED / name).iterdir():
            if "installed" not in path.name:
                (directory / path.name).symlink_to(path)
        stamp = directory / (f"{lock.name}.installed" if name == "venv" else "installed")
        command = ["bash", "-c", STAMP, "bash", str(lock)]
        stamp.write_bytes(subprocess.check_output(command, cwd=self.home))

    def lent(self) -> Stack:
        """Its stack, as it was started."""
        return Stack.at(data_directories.of_checkout(self.home))

    def remove_stack(self) -> None:
        """End it at once and remove its data, unless `./stack down --purge` has done that."""
        data = data_directories.of_checkout(self.home)
        if (data / ENV_FILE).exists():
            lifecycle.kill(Stack.at(data))
        data_directories.purge(data, self.home)

    def stack(self, *words: str, seconds: float) -> str:
        """Run ./stack and return its output. Raises if it fails."""
        done = self._run(*words, seconds=seconds)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def _run(self, *words: str, seconds: float) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["./stack", *words],
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
        )


@contextmanager
def started() -> Iterator[Checkout]:
    """A new copy whose stack has just been started for the first time; removed with its data."""
    with data_directories.private_home() as home:
        checkout = Checkout(home)
        try:
            checkout.start()
            yield checkout
        finally:
            checkout.remove_stack()
