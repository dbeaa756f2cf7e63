"""Documents with blocks of shell that can be run, and the answers that they show.

A step is some lines of a block, up to the lines `# …` that show its answer, or up to an empty line.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ANSWER = "# "
# values that differ between stacks, but not within a document
IDENTITY = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|ORD-[0-9A-F]{12}|[0-9a-f]{32}|[0-9a-f]{24}"
# values that differ each time: the pattern of an example in a document
VARYING = {
    "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)",
    # depends on whether the broker confirms late, as on a busy machine
    "stored": r'"stored_in":"(?:queue|outbox)"',
    "attempts": r'"attempts":\d+',
    "left_out": "…",
}
LEFT_OUT = ".*"
TOKEN = re.compile(
    "|".join(f"(?P<{name}>{look})" for name, look in {"identity": IDENTITY, **VARYING}.items())
)
_ID = re.compile(r'"id":\d+')
Identities = dict[str, str]


@dataclass(frozen=True)
class Step:
    """A command of a document.

    Attributes:
        line: the line of the document where it begins.
        answer: the lines of the answer that the document shows; may be empty.
    """

    line: int
    command: str
    answer: list[str]


def steps(text: str) -> Iterator[Step]:
    """The steps of all blocks of a document."""
    for block in BLOCK.finditer(text):
        first = text.count("\n", 0, block.start(1)) + 1
        yield from _steps(block[1].splitlines(), first)


def _steps(lines: Sequence[str], first: int) -> Iterator[Step]:
    command: list[str] = []
    answer: list[str] = []
    begin = first
    for number, line in enumerate([*lines, ""], first):
        is_answer = bool(command) and line.startswith(ANSWER)
        if (answer and not is_answer) or (command and not line):
            yield Step(begin, "\n".join(command), answer)
            command, answer = [], []
        if is_answer:
            answer.append(line.removeprefix(ANSWER))
        elif line and not line.startswith(ANSWER):
            begin = begin if command else number
            command.append(line)


def match(shown: Sequence[str], real: Sequence[str], known: Identities) -> Identities | None:
    """Return the identities known after the real lines match the shown ones, in this order.

    Other lines may come in between. `known` maps shown identities to real ones. None: no match.
    """
    lines = iter(real)
    for line in shown:
        matches = (_match(line, came, known) for came in lines)
        found = next((one for one in matches if one is not None), None)
        if found is None:
            return None
        known = found
    return known


def _match(shown: str, real: str, known: Identities) -> Identities | None:
    new: Identities = {}
    pattern, position = "", 0
    for token in TOKEN.finditer(shown):
        pattern += re.escape(shown[position : token.start()]) + _part(token, known, new)
        position = token.end()
    found = re.fullmatch(pattern + re.escape(shown[position:]), real)
    if not found:
        return None
    captured = {name: found[group] for name, group in new.items()}
    # identities that differ in the document must differ in reality
    is_new = not set(captured.values()) & set(known.values())
    return known | captured if is_new else None


def _part(token: re.Match[str], known: Identities, new: Identities) -> str:
    """Return the pattern of a token; `new` gets the group of an unknown identity."""
    text, kind = token[0], str(token.lastgroup)
    if kind != "identity":
        return LEFT_OUT if kind == "left_out" else VARYING[kind]
    if text in known:
        return re.escape(known[text])
    if text in new:
        return f"(?P={new[text]})"
    new[text] = f"identity_{len(new)}"
    return f"(?P<{new[text]}>{IDENTITY})"


def read(path: Path, ports: Mapping[str, str], sections: Collection[str] = ()) -> list[Step]:
    """Return the steps of a document for a stack on other ports than those of .env.example.

    With `sections`, only those with these titles, and any ids match.
    """
    text = path.read_text()
    if sections:
        text = _ID.sub('"id":…', _only(text, sections))
    for port, own in ports.items():
        text = re.sub(rf'(localhost:|"port": ){port}\b', rf"\g<1>{own}", text)
    return list(steps(text))


def _only(text: str, sections: Collection[str]) -> str:
    """The text with empty lines instead of other sections of the second level."""
    kept: list[str] = []
    in_section = False
    for line in text.splitlines():
        if line.startswith("## "):
            in_section = line.removeprefix("## ") in sections
        kept.append(line if in_section else "")
    return "\n".join(kept)
