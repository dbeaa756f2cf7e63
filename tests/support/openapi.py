"""Reads openapi.yaml, and checks values against its schemas."""

from typing import Any

import yaml
from openapi_schema_validator import OAS30Validator

from tools.postman.document import (
    FILE,
    METHODS,
    Operation,
    examples,
    operations,
    raw,
    resolved,
)

__all__ = [
    "FILE",
    "METHODS",
    "Operation",
    "examples",
    "from_yaml",
    "operations",
    "raw",
    "resolved",
    "validator",
]
_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def from_yaml(text: bytes) -> Any:
    """What a document in YAML says; libyaml takes a tenth of the time."""
    return yaml.load(text, _Loader)


def validator(schema: dict[str, Any]) -> OAS30Validator:
    """A validator for `schema`, formats included."""
    return OAS30Validator(schema, format_checker=OAS30Validator.FORMAT_CHECKER)
