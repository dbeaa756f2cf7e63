"""A copy of the checkout with a stack of its own, started as a newcomer starts it."""

import shutil
import subprocess
from pathlib import Path

from tools.stack import port_allocation, variables
from tools.stack.layout import CHECKOUT, INSTALLED

# what ./stack up would install again
SHARED = ("bin", "venv", "pm2", "swagger-ui")
LEFT_OUT = shutil.ignore_patterns(".git", ".stack", ".env", "__pycache__", ".*_cache")


class Checkout:
    """The copy; `ports` has its ports by those of .env.example that stand in the documents."""

    def __init__(self, home: Path) -> None:
        self.home = home / "crud-master"
        shutil.copytree(CHECKOUT, self.home, ignore=LEFT_OUT)
        (self.home / ".stack").mkdir()
        for name in SHARED:
            (self.home / ".stack" / name).symlink_to(INSTALLED / name)
        example, chosen = variables.example(), port_allocation.choose_private()
        own = {name: str(port) for name, port in chosen.items() if name in example}
        env = self.home / ".env"
        env.write_text("".join(f"{name}={port}\n" for name, port in own.items()))
        env.chmod(0o600)
        names = ("GATEWAY_PORT", "RABBITMQ_MANAGEMENT_PORT", "BILLING_CONSUMER_PORT")
        self.ports = {example[name]: own[name] for name in names}

    def stack(self, *words: str, seconds: float) -> str:
        """Run ./stack, and return what it says. Raises if it fails."""
        done = subprocess.run(
            ["./stack", *words],
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout
