"""Reads openapi.yaml, and checks values against its schemas."""

from typing import Any

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

__all__ = ["FILE", "METHODS", "Operation", "examples", "operations", "raw", "resolved", "validator"]


def validator(schema: dict[str, Any]) -> OAS30Validator:
    """A validator for `schema`, formats included."""
    return OAS30Validator(schema, format_checker=OAS30Validator.FORMAT_CHECKER)
