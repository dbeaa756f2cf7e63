"""No function of the provisioning has a local variable that bash refuses, since it is read-only."""

import re

from tools.stack.layout import CHECKOUT

SCRIPTS = sorted((CHECKOUT / "provisioning").rglob("*.sh"))


def _names(pattern: str) -> dict[str, str]:
    """Each variable that a line of this kind names, and the script."""
    found = {}
    for script in SCRIPTS:
        for words in re.findall(pattern, script.read_text(), re.MULTILINE):
            for name in re.findall(r"(?:^|\s)([a-z_]+)(?==|\s|$)", words):
                found[name] = script.name
    return found


def test_no_local_variable_has_the_name_of_a_readonly_one() -> None:
    constant = _names(r"^readonly (.*)$")
    assert {"state", "home", "provisioning"} <= set(constant)
    assert set(_names(r"^\s+local (.*)$")) & set(constant) == set()
