"""Which service reads which variable, and what it may hold: what the services' `load` asks for."""

import os
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any

from chassis.settings import Group, ProcessSettings
from tools.configuration.example import Variable
from tools.stack.layout import SERVICES

Schema = Mapping[str, Any]


@dataclass
class Reading:
    """A variable as the settings know it.

    Attributes:
        services: who reads it.
        schema: JSON Schema of its values.
    """

    services: list[str] = field(default_factory=list)
    schema: Schema = field(default_factory=dict)


def readings(variables: Iterable[Variable]) -> dict[str, Reading]:
    """Load the settings of every service with the values of .env.example, and note what they read.

    The examples of variables without a value count, too: so they are known to be valid.

    Raises:
        SettingsError: a value of the file is not valid.
    """
    known, found = list(variables), defaultdict[str, Reading](Reading)
    for chosen in ([v for v in known if v.is_set], known):
        with _only({variable.name: variable.value for variable in chosen}):
            for service in SERVICES:
                with _noted(service, found):
                    # by name: tools import no service
                    import_module(f"{service}.settings").load()
    _add_to_all(found, SERVICES)
    return dict(found)


def _add_to_all(found: dict[str, Reading], services: Sequence[str]) -> None:
    """Note what every process reads for itself, whatever its service."""
    for name, schema in _schemas(ProcessSettings).items():
        found[name.upper()] = Reading(list(services), schema)


@contextmanager
def _noted(service: str, found: dict[str, Reading]) -> Iterator[None]:
    """Note every variable that a group of settings is filled with."""
    original = Group.__init__

    def fill(group: Group, **values: Any) -> None:
        prefix = values.get("_env_prefix", "")
        for name, schema in _schemas(type(group)).items():
            if name not in values:
                reading = found[f"{prefix}{name}".upper()]
                reading.schema = schema
                reading.services += [] if service in reading.services else [service]
        original(group, **values)

    Group.__init__ = fill  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        Group.__init__ = original  # type: ignore[method-assign]


@cache
def _schemas(group: type[Group]) -> Mapping[str, Schema]:
    properties: Mapping[str, Schema] = group.model_json_schema()["properties"]
    return properties


@contextmanager
def _only(values: Mapping[str, str]) -> Iterator[None]:
    """Have the services read these values, whatever the environment of the caller says."""
    before = dict(os.environ)
    with tempfile.NamedTemporaryFile("w", suffix=".env") as file:
        file.writelines(f"{name}={value}\n" for name, value in values.items())
        file.flush()
        os.environ.clear()
        os.environ["ENV_FILE"] = file.name
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)
