"""`./stack configuration`: writes the tables of docs/configuration.md anew."""

import sys

from tools.configuration.document import FILE, renewed


def main() -> int:
    """Write the document."""
    FILE.write_text(renewed(FILE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{FILE.name} has the variables of .env.example.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
