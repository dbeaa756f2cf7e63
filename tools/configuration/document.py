"""docs/configuration.md: a table for each section of .env.example, between two marks."""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby

from tools.configuration import example
from tools.configuration.example import Variable
from tools.configuration.readers import Reading, Schema, readings
from tools.stack.layout import CHECKOUT, SERVICES

FILE = CHECKOUT / "docs" / "configuration.md"
BEGIN, END = "<!-- variables -->", "<!-- end of variables -->"
HEAD = "| variable | default | values | what it is | read by |\n| --- | --- | --- | --- | --- |"
TOPOLOGY = CHECKOUT / "topology.yml"
UNITS = {"_SECONDS": "seconds", "_HOURS": "hours", "_DAYS": "days", "_ROWS": "rows"}
PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
SECRET: Schema = {"format": "password"}
OF_STACK: dict[str, Schema] = {
    "PORT_OFFSET": {"type": "integer"},
    "TOPOLOGY": {"description": "`ha`, or nothing"},
    "GATEWAY_VIP": {"description": "an address"},
    "DATABASE_ADMIN_PASSWORD": SECRET,
    "DATABASE_REPLICATION_PASSWORD": SECRET,
    "RABBITMQ_COOKIE": SECRET,
}
KINDS = {
    "integer": "a whole number",
    "boolean": "`true`, `false`",
    "path": "a path",
    "password": "a secret",
    "string": "text",
}
OF_VAGRANT = "`vagrant up`"
# what no service asks for
OTHERS = {
    "RABBITMQ_MANAGEMENT_PORT": "`./stack` and provisioning",
    "PORT_OFFSET": "`./stack`",
    "VAGRANT_BOX": OF_VAGRANT,
    "TOPOLOGY": OF_VAGRANT,
    "GATEWAY_VIP": "provisioning",
    "DATABASE_ADMIN_PASSWORD": "provisioning",
    "DATABASE_REPLICATION_PASSWORD": "provisioning",
    "RABBITMQ_COOKIE": "provisioning",
}


def with_tables(text: str, tables: str) -> str:
    """The document with these tables. Raises ValueError if it lacks the marks."""
    before, _, rest = text.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"{FILE.name} lacks {BEGIN} or {END}")
    return f"{before}{BEGIN}\n\n{tables}\n{END}{after}"


def tables() -> str:
    """A heading and a table for each section."""
    variables = list(example.variables(example.FILE.read_text(encoding="utf-8")))
    known = readings(variables)
    sections = groupby(variables, lambda variable: variable.section)
    return "".join(f"## {title}\n\n{_table(group, known)}\n" for title, group in sections)


def _table(variables: Iterable[Variable], known: Mapping[str, Reading]) -> str:
    rows = (_row(variable, known.get(variable.name, Reading())) for variable in variables)
    return "\n".join([HEAD, *rows, ""])


def _row(variable: Variable, reading: Reading) -> str:
    cells = (
        f"`{variable.name}`",
        _default(variable, reading.schema),
        _values(variable.name, reading.schema),
        variable.meaning,
        ", ".join(_readers(variable.name, reading)),
    )
    return f"| {' | '.join(cells)} |"


def _default(variable: Variable, schema: Schema) -> str:
    """What holds without a .env; for a variable without a value the default of the settings."""
    if variable.is_set:
        return f"`{variable.value}`"
    default = schema.get("default")
    if default in (None, "", []):
        return f"none, such as `{variable.value}`"
    # the directory for temporary files is not everywhere the same
    return f"`{variable.value if schema.get('format') == 'path' else default}`"


def _values(name: str, schema: Schema) -> str:
    """Which values are allowed, with their unit."""
    schema = schema or OF_STACK.get(name, PORT if name.endswith("_PORT") else {})
    inner = next((s for s in schema.get("anyOf", []) if s.get("type") != "null"), schema)
    unit = next((f"{word}, " for end, word in UNITS.items() if name.endswith(end)), "")
    return unit + str(schema.get("description") or inner.get("description") or _kind(inner))


def _kind(schema: Schema) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "exclusiveMinimum" in schema:
        return f"above {schema['exclusiveMinimum']:g}, at most {schema['maximum']:,g}"
    if "minimum" in schema:
        return f"{schema['minimum']} to {schema['maximum']}"
    return KINDS[schema.get("format") or schema.get("type") or "string"]


def _readers(name: str, reading: Reading) -> Iterator[str]:
    if len(reading.services) == len(SERVICES):
        yield "every service"
    else:
        yield from reading.services
    if name in _of_vagrant():
        yield OF_VAGRANT
    if name in OTHERS:
        yield OTHERS[name]


def _of_vagrant() -> set[str]:
    """Which variables the rows of machines name."""
    machines = TOPOLOGY.read_text(encoding="utf-8").partition("\nmachines:")[2]
    return set(re.findall(r"\b[A-Z][A-Z_]+\b", machines.partition("\nroles:")[0]))
