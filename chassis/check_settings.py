"""Whether services can read their settings: what is wrong with the variables, before they start.

    python -m chassis.check_settings SERVICE...

prints a line for each fault; exit status 1 if there is one.
"""

import sys
from collections.abc import Sequence
from importlib import import_module

from chassis.errors import SettingsError
from chassis.printable import escaped


def faults(services: Sequence[str]) -> list[str]:
    """Return what keeps services from reading their settings, each fault once."""
    found = (_fault(service) for service in services)
    return list(dict.fromkeys(fault for fault in found if fault))


def _fault(service: str) -> str | None:
    try:
        import_module(f"{service}.settings").load()
    except SettingsError as error:
        return str(error)
    return None


if __name__ == "__main__":
    wrong = faults(sys.argv[1:])
    sys.stderr.writelines(f"{escaped(fault)}\n" for fault in wrong)
    sys.exit(1 if wrong else 0)
