"""Reads a topology's YAML; a file may extend another one.

Provisioning imports it with the system's Python, so it needs PyYAML only.
"""

from pathlib import Path
from typing import Any

import yaml

EXTENDS, ROLES = "extends", "roles"
# libyaml takes 3 ms for topology.yml, Python 21, and every process reads it when it starts
_BASE: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_BASE):  # type: ignore[misc]
    """Refuses duplicate keys: YAML's own loader would take the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping. Raises yaml.MarkedYAMLError."""
        keys = [self.construct_object(key, deep=True) for key, _value in node.value]
        for (key, _value), name in zip(node.value, keys, strict=True):
            if keys.count(name) > 1:
                problem = f"{name} is there twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
        content: dict[Any, Any] = super().construct_mapping(node, deep)
        return content


def load(file: Path) -> Any:
    """Return the content of a file, merged into that of the file that it extends.

    Raises:
        OSError, UnicodeDecodeError: a file can't be read.
        yaml.YAMLError: a file is not YAML, or has a key twice.
    """
    content = yaml.load(file.read_text(encoding="utf-8"), _Loader)
    if not isinstance(content, dict) or not isinstance(content.get(EXTENDS), str):
        return content
    own = {key: value for key, value in content.items() if key != EXTENDS}
    return merged(load(file.parent / content[EXTENDS]), own)


def merged(base: Any, own: dict[Any, Any]) -> Any:
    """Return `base` with what `own` replaces: sections as a whole; of a role, single keys."""
    if not isinstance(base, dict):
        return own
    roles, changed = base.get(ROLES), own.get(ROLES)
    if not isinstance(roles, dict) or not isinstance(changed, dict):
        return base | own
    return base | own | {ROLES: roles | {n: _role(roles.get(n), changed[n]) for n in changed}}


def _role(base: object, own: object) -> object:
    return base | own if isinstance(base, dict) and isinstance(own, dict) else own
