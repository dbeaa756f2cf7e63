"""Our error messages, in place of pydantic's and werkzeug's own.

Source of the types: https://docs.pydantic.dev/latest/errors/validation_errors/; tests compare both
tables with the installed versions.
"""

from collections.abc import Callable, Mapping
from typing import Any

Context = Mapping[str, Any]


def _count(context: Context, key: str, one: str, many: str) -> str:
    number = context[key]
    return f"{number:,} {one if number == 1 else many}"


def _too_short(context: Context) -> str:
    if context["min_length"] == 1:
        return "must not be empty"
    return f"must have at least {_count(context, 'min_length', 'character', 'characters')}"


def _too_long(context: Context) -> str:
    return f"must have at most {_count(context, 'max_length', 'character', 'characters')}"


def _too_few(context: Context) -> str:
    return f"must have at least {_count(context, 'min_length', 'item', 'items')}"


def _too_many(context: Context) -> str:
    return f"must have at most {_count(context, 'max_length', 'item', 'items')}"


def _too_few_bytes(context: Context) -> str:
    return f"must have at least {_count(context, 'min_length', 'byte', 'bytes')}"


def _too_many_bytes(context: Context) -> str:
    return f"must have at most {_count(context, 'max_length', 'byte', 'bytes')}"


def _above(context: Context) -> str:
    return f"must be greater than {context['gt']}"


def _at_least(context: Context) -> str:
    return f"must be {context['ge']} or more"


def _below(context: Context) -> str:
    return f"must be less than {context['lt']}"


def _at_most(context: Context) -> str:
    return f"must be {context['le']} or less"


def _multiple(context: Context) -> str:
    return f"must be a multiple of {context['multiple_of']}"


def _one_of(context: Context) -> str:
    return f"must be {context['expected']}"


def _uuid_version(context: Context) -> str:
    return f"must be a UUID of version {context['expected_version']}"


def _digits(context: Context) -> str:
    return f"must have at most {_count(context, 'max_digits', 'digit', 'digits')}"


def _places(context: Context) -> str:
    return f"must have at most {_count(context, 'decimal_places', 'decimal', 'decimals')}"


def _whole_digits(context: Context) -> str:
    number = _count(context, "whole_digits", "digit", "digits")
    return f"must have at most {number} before the decimal point"


def _scheme(context: Context) -> str:
    return f"must be a URL that begins with {context['expected_schemes']}"


_STRING = "must be a string"
_OBJECT = "must be a JSON object"
_ARRAY = "must be a JSON array"
_BOOLEAN = "must be true or false"
_WHOLE = "must be a whole number"
_NUMBER = "must be a number"
_DATE = "must be a date, like 2024-09-30"
_CLOCK = "must be a time of day, like 18:07:44"
_TIME = "must be a time with its offset, like 2024-09-30T18:07:44Z"
_DURATION = "must be a duration, like PT1H30M"
_UUID = "must be a UUID, like 0b6c1f3e-6f0a-4c5b-9a54-0d1f6d3b8f11"
_URL = "must be a URL, like http://example.com/path"
_BASE = "must be a value that this field takes"

SENTENCES: dict[str, str | Callable[[Context], str]] = {
    "missing": "is required",
    "extra_forbidden": "is not known here",
    "invalid_key": "must have strings as its names",
    "none_required": "must be null",
    # text
    "string_type": _STRING,
    "string_sub_type": _STRING,
    "string_unicode": "must not contain half of a surrogate pair",
    "string_too_short": _too_short,
    "string_too_long": _too_long,
    "string_pattern_mismatch": "has a character that does not belong there",
    "string_not_ascii": "must have ASCII characters only",
    "bytes_type": _STRING,
    "bytes_too_short": _too_few_bytes,
    "bytes_too_long": _too_many_bytes,
    "bytes_invalid_encoding": "must be encoded in UTF-8",
    "literal_error": _one_of,
    "enum": _one_of,
    # structure
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "dataclass_type": _OBJECT,
    "dataclass_exact_type": _OBJECT,
    "named_tuple_type": _ARRAY,
    "dict_type": _OBJECT,
    "frozen_dict_type": _OBJECT,
    "ordered_dict_type": _OBJECT,
    "counter_type": _OBJECT,
    "mapping_type": _OBJECT,
    "list_type": _ARRAY,
    "deque_type": _ARRAY,
    "tuple_type": _ARRAY,
    "set_type": _ARRAY,
    "frozen_set_type": _ARRAY,
    "iterable_type": _ARRAY,
    "set_item_not_hashable": "must be neither an array nor an object",
    "too_short": _too_few,
    "too_long": _too_many,
    "recursion_loop": "must not contain itself",
    "recursion_depth_exceeded": "is nested too deeply",
    "json_invalid": "must be JSON",
    "json_type": "must be JSON in a string",
    "union_tag_invalid": "is of a kind that is not known here",
    "union_tag_not_found": "must say of which kind it is",
    # numbers
    "bool_type": _BOOLEAN,
    "bool_parsing": _BOOLEAN,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": "has too many digits",
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "must be a number, and neither infinite nor NaN",
    "greater_than": _above,
    "greater_than_equal": _at_least,
    "less_than": _below,
    "less_than_equal": _at_most,
    "multiple_of": _multiple,
    "decimal_type": _NUMBER,
    "decimal_parsing": _NUMBER,
    "decimal_max_digits": _digits,
    "decimal_max_places": _places,
    "decimal_whole_digits": _whole_digits,
    "fraction_type": _NUMBER,
    "fraction_parsing": _NUMBER,
    "complex_type": _NUMBER,
    "complex_str_parsing": _NUMBER,
    # times
    "date_type": _DATE,
    "date_parsing": _DATE,
    "date_from_datetime_parsing": _DATE,
    "date_from_datetime_inexact": "must be a date without a time of day",
    "date_past": "must be in the past",
    "date_future": "must be in the future",
    "time_type": _CLOCK,
    "time_parsing": _CLOCK,
    "datetime_type": _TIME,
    "datetime_parsing": _TIME,
    "datetime_object_invalid": _TIME,
    "datetime_from_date_parsing": _TIME,
    "datetime_past": "must be in the past",
    "datetime_future": "must be in the future",
    "timezone_naive": "must be a time without an offset",
    "timezone_aware": _TIME,
    "timezone_offset": "must be a time with another offset",
    "time_delta_type": _DURATION,
    "time_delta_parsing": _DURATION,
    # names of other things
    "uuid_type": _UUID,
    "uuid_parsing": _UUID,
    "uuid_version": _uuid_version,
    "url_type": _URL,
    "url_parsing": _URL,
    "url_syntax_violation": _URL,
    "url_too_long": _too_long,
    "url_scheme": _scheme,
    # our schemas never produce these: they concern Python objects, functions and code
    "no_such_attribute": "is not known here",
    "get_attribute_error": _BASE,
    "needs_python_object": _BASE,
    "frozen_field": "can't be changed",
    "frozen_instance": "can't be changed",
    "default_factory_not_called": "is required",
    "iteration_error": _ARRAY,
    "value_error": _BASE,
    "assertion_error": _BASE,
    "missing_sentinel_error": _BASE,
    "ellipsis_error": _BASE,
    "is_instance_of": _BASE,
    "is_subclass_of": _BASE,
    "callable_type": _BASE,
    "arguments_type": _BASE,
    "missing_argument": "is required",
    "unexpected_keyword_argument": "is not known here",
    "missing_keyword_only_argument": "is required",
    "unexpected_positional_argument": "is not known here",
    "missing_positional_only_argument": "is required",
    "multiple_argument_values": "must be given once",
}

OTHER_STATUS = "The request can't be answered."
STATUSES = {
    400: "The request is malformed.",
    401: "This needs a token: send the header Authorization: Bearer TOKEN.",
    403: "The token does not permit this.",
    404: "There is nothing at this path; /docs and /openapi.yaml list the paths.",
    405: "This path does not take that method.",
    406: "The answer has none of the media types that Accept asks for; it is JSON.",
    408: "The request has not arrived in time.",
    409: "The request contradicts the state of the resource.",
    410: "The resource is gone.",
    411: "The request needs a Content-Length.",
    412: "The resource has changed: it does not fit the condition of the request.",
    413: "The body is too long.",
    414: "The path with its query is too long.",
    415: "Send the body as JSON, with Content-Type: application/json.",
    416: "The resource does not have the requested range.",
    417: "The only supported value of Expect is 100-continue.",
    418: "This is a teapot.",
    421: "The request is for another server.",
    422: "The request is understood and wrong.",
    423: "The resource is locked.",
    424: "Another request that this one depends on has failed.",
    428: "The request needs the header If-Match, with the ETag of the resource.",
    429: "There were too many requests; try again later.",
    431: "The headers are too long.",
    451: "The resource may not be shown, for legal reasons.",
    500: "Something that should not happen did; the log has it under request_id.",
    501: "The method is not known here.",
    502: "A service behind this one has not given a whole answer.",
    503: "The service is not available; try again later.",
    504: "A service behind this one has not answered in time.",
    505: "The supported versions are HTTP/1.0 and HTTP/1.1.",
}
"""By status; an error whose description is ours keeps it."""
