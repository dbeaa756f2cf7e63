"""Request ids and W3C Trace Context."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis import trace
from chassis.trace import Trace

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"


def test_a_valid_traceparent_is_continued_with_a_span_of_our_own() -> None:
    continued = trace.continued({"traceparent": TRACEPARENT})
    assert continued.trace_id == TRACE_ID
    assert continued.span_id != SPAN_ID
    assert re.fullmatch("[0-9a-f]{16}", continued.span_id)


@pytest.mark.parametrize("flags", ["00", "01", "03", "ff"])
def test_the_flags_are_forwarded_as_they_came(flags: str) -> None:
    continued = trace.continued({"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-{flags}"})
    assert continued.headers["traceparent"].endswith(f"-{flags}")


@pytest.mark.parametrize("version", ["01", "cc", "fe"])
@pytest.mark.parametrize("rest", ["", "-what-the-future-brings", "-"])
def test_only_the_known_fields_of_a_later_version_are_read(version: str, rest: str) -> None:
    continued = trace.continued({"traceparent": f"{version}-{TRACE_ID}-{SPAN_ID}-01{rest}"})
    assert continued.trace_id == TRACE_ID
    assert continued.headers["traceparent"].startswith(f"00-{TRACE_ID}-")


@pytest.mark.parametrize(
    "malformed",
    [
        "",
        "garbage",
        f"ff-{TRACE_ID}-{SPAN_ID}-01",
        f"0-{TRACE_ID}-{SPAN_ID}-01",
        f"0x-{TRACE_ID}-{SPAN_ID}-01",
        f"00-{'0' * 32}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        TRACEPARENT.upper(),
        f"00-{TRACE_ID[:-1]}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{SPAN_ID}0-01",
        f"00-{TRACE_ID}-{SPAN_ID}",
        f"00-{TRACE_ID}-{SPAN_ID}-1",
        f"00-{TRACE_ID}-{SPAN_ID}-0g",
        f"00-{TRACE_ID}-{SPAN_ID}-01.",
        f"cc-{TRACE_ID}-{SPAN_ID}-01x",
        f" {TRACEPARENT}",
        f"{TRACEPARENT}\n",
        f"{TRACEPARENT}, {TRACEPARENT}",
    ],
)
def test_a_malformed_traceparent_begins_a_new_trace(malformed: str) -> None:
    continued = trace.continued({"traceparent": malformed})
    assert continued.trace_id != TRACE_ID
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", continued.headers["traceparent"])


def test_version_00_ends_after_the_flags() -> None:
    assert trace.continued({"traceparent": f"{TRACEPARENT}-extra"}).trace_id != TRACE_ID


@pytest.mark.parametrize("given", ["a", "A-b_c.d:e+f/g=1", "x" * 128])
def test_a_harmless_request_id_is_kept(given: str) -> None:
    assert trace.continued({"X-Request-ID": given}).request_id == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", 'a"b', "a\nb", "a\n", "é", "<b>", "a,b"])
def test_any_other_request_id_is_replaced(given: str) -> None:
    assert re.fullmatch("[0-9a-f]{32}", trace.continued({"X-Request-ID": given}).request_id)


def test_two_requests_without_ids_get_different_ones() -> None:
    first, second = trace.continued({}), trace.continued({})
    assert first.request_id != second.request_id
    assert first.trace_id != second.trace_id


def test_a_block_has_its_own_trace_and_restores_the_previous_one() -> None:
    outer, inner = Trace("outer", TRACE_ID, SPAN_ID), Trace("inner", TRACE_ID, SPAN_ID)
    with trace.within(outer):
        with pytest.raises(RuntimeError), trace.within(inner):
            assert trace.current() == inner
            raise RuntimeError
        assert trace.current() == outer


@given(st.text(), st.text())
def test_whatever_arrives_the_forwarded_request_is_well_formed(
    parent: str, request_id: str
) -> None:
    headers = trace.continued({"traceparent": parent, "X-Request-ID": request_id}).headers
    assert re.fullmatch("[A-Za-z0-9._:+/=-]{1,128}", headers["X-Request-ID"])
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", headers["traceparent"])
