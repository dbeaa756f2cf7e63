"""What a terminal would obey is spelled out."""

import json

import pytest

from chassis.printable import escaped, escaped_line

COMMANDS = [
    *range(0x00, 0x0A), *range(0x0B, 0x20), *range(0x7F, 0xA0), 0x061C, 0x200E, 0x200F,
    *range(0x2028, 0x202F), *range(0x2066, 0x206A), 0xD800, 0xDFFF,
]  # fmt: skip


@pytest.mark.parametrize("number", COMMANDS)
def test_control_and_bidirectional_characters_are_escaped(number: int) -> None:
    assert escaped(f"a{chr(number)}b") == f"a\\u{number:04x}b"


def test_text_of_any_script_and_newlines_stay() -> None:
    text = "Amélie\nЖжж 映画 عربى \u200c\u200d 🎬 a\u0301\\ \u00a0"
    assert escaped(text) == text
    assert escaped_line("a\nb") == "a\\u000ab"


def test_json_means_the_same_when_it_is_escaped() -> None:
    value = "".join(map(chr, [*COMMANDS[:-2], 0x0A, 0x22, 0x5C, 0xE9]))
    assert json.loads(escaped(json.dumps(value, ensure_ascii=False))) == value
