"""How provisioning and ./stack install the distribution's packages."""

import subprocess

import pytest

from tools.stack.layout import CHECKOUT

TWICE = """
set -euo pipefail
source provisioning/lib/steps.sh
source provisioning/lib/packages.sh
missing_packages() { printf '%s\\n' "$@"; }
apt_get() { :; }
can_install() { :; }
update_lists() { echo updated; [[ $answer == good ]]; }
apt_install one
apt_install two
"""


@pytest.mark.parametrize(("answer", "times"), [("good", 1), ("bad", 6)])
def test_lists_that_could_not_be_updated_are_not_taken_for_new(answer: str, times: int) -> None:
    done = subprocess.run(
        ["bash", "-c", f"answer={answer}\n{TWICE}"], cwd=CHECKOUT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines().count("updated") == times
