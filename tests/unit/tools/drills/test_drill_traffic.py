"""Traffic, time lines and the network of drills."""

import asyncio
import json
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tools.drills.targets.network import drops, redirection
from tools.drills.workload import crowd as crowds
from tools.drills.workload.client import Client
from tools.drills.workload.crowd import POSTERS, Crowd
from tools.drills.workload.delay import delayed
from tools.drills.workload.history import History, Request, Verdict
from tools.drills.workload.request_generator import Fixtures, RequestGenerator
from tools.drills.workload.traffic import Traffic
from tools.stack import processes
from tools.stack.waiting import wait_until

GOODS = Fixtures("x", marker=1, plenty=2, scarce=3, customers=[1, 2])


class Gateway(BaseHTTPRequestHandler):
    """Takes everything once it may; `seen` are the keys and bodies."""

    seen: list[tuple[str | None, Any]]
    may_answer = threading.Event()
    statuses: dict[str, list[int]]

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length)) if length else None
        self.seen.append((self.headers["Idempotency-Key"], body))
        self.may_answer.wait(20)
        self.send_response(self._status())
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(
            json.dumps({"id": self.headers["X-Request-ID"], "event_uid": "e"}).encode()
        )

    def _status(self) -> int:
        waiting = self.statuses.get(self.headers["Idempotency-Key"] or "", [])
        return waiting.pop(0) if waiting else 202

    do_GET = do_POST = do_PUT = _answer

    def log_message(self, *_words: object) -> None:
        """Say nothing."""


@pytest.fixture
def gateway() -> Iterator[ThreadingHTTPServer]:
    """A gateway of our own."""
    Gateway.seen, Gateway.statuses = [], {}
    Gateway.may_answer.set()
    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def _traffic(server: ThreadingHTTPServer, history: History, rate: float) -> Traffic:
    client = Client(f"http://127.0.0.1:{server.server_port}", "token")
    return Traffic(client, RequestGenerator(GOODS, random.Random(1)), history, rate)


def test_the_same_seed_makes_the_same_requests() -> None:
    one, same, other = (RequestGenerator(GOODS, random.Random(seed)) for seed in (1, 1, 2))
    requests = [one.next() for _ in range(50)]
    assert requests == [same.next() for _ in range(50)]
    assert requests != [other.next() for _ in range(50)]
    assert {request.kind for request in requests} == {"bill", "order", "customer", "event", "read"}


def test_each_order_has_its_own_number_of_the_marker() -> None:
    generator = RequestGenerator(GOODS, random.Random(1))
    orders = [r for r in (generator.next() for _ in range(100)) if r.kind == "order"] + [
        generator.probe()
    ]
    lines = [order.body["items"][0] for order in orders]  # type: ignore[index]
    assert lines == [{"product_id": 1, "quantity": order.number} for order in orders]
    assert len({order.number for order in orders}) == len(orders)


def test_requests_go_out_at_their_rate_although_none_is_answered(
    gateway: ThreadingHTTPServer,
) -> None:
    Gateway.may_answer.clear()
    history = History()
    traffic = _traffic(gateway, history, rate=50)
    traffic.start()
    wait_until(lambda: len(Gateway.seen) >= 50, 30, "50 requests")
    assert not history.answers()
    Gateway.may_answer.set()
    traffic.stop()
    # a stall is seen by all that fall into it
    assert max(answer.seconds for answer in history.answers()) >= 0.5


def test_a_request_with_a_key_that_was_refused_is_sent_again_as_it_was(
    gateway: ThreadingHTTPServer,
) -> None:
    generator = RequestGenerator(GOODS, random.Random(1))
    keyed = next(r for r in iter(generator.next, None) if r.kind == "bill" and r.key)
    assert keyed.key
    Gateway.statuses[keyed.key] = [503]
    history = History()
    traffic = _traffic(gateway, history, rate=20)
    traffic.start()

    def attempts() -> list[Any]:
        return [body for key, body in list(Gateway.seen) if key == keyed.key]

    wait_until(lambda: len(attempts()) == 2, 30, "a second attempt")
    traffic.stop()
    assert attempts()[0] == attempts()[1] == keyed.body


def test_unanswered_orders_and_reads_of_a_crowd_are_in_the_history(
    gateway: ThreadingHTTPServer,
) -> None:
    Gateway.may_answer.clear()
    history = History()
    client = Client(f"http://127.0.0.1:{gateway.server_port}", "token")
    crowd = Crowd(client, RequestGenerator(GOODS, random.Random(1)), history)
    with crowd.at_work():
        # each poster waits for its own answer, and reads go out at their rate
        wait_until(lambda: len(_keys()) == POSTERS, 30, "all posters")
        wait_until(lambda: len(Gateway.seen) >= POSTERS + 10, 30, "reads")
        assert not history.answers()
    Gateway.may_answer.set()
    crowd.finish()
    assert len(history.answers()) == len(Gateway.seen)
    assert {entry.request.name for entry in history.accepted()} == set(_keys())
    # no order has the number of another, by which it is found again
    assert len(set(_keys())) == len(_keys()) == POSTERS


def _keys() -> list[str]:
    return [key for key, _ in list(Gateway.seen) if key]


def test_a_crowds_order_that_is_refused_is_sent_again_as_it_was(
    gateway: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crowds, "POSTERS", 1)
    monkeypatch.setattr(crowds, "PAUSE_SECONDS", (0.0, 0.1))
    generator, history = RequestGenerator(GOODS, random.Random(1)), History()
    Gateway.statuses["drill-x-1"] = [503, 504]
    client = Client(f"http://127.0.0.1:{gateway.server_port}", "token")
    crowd = Crowd(client, generator, history)
    with crowd.at_work():
        wait_until(lambda: len(_keys()) >= 4, 30, "a second order")
    crowd.finish()
    bodies = [body for key, body in Gateway.seen if key == "drill-x-1"]
    assert len(bodies) == 3
    assert all(body == bodies[0] for body in bodies)
    assert _keys()[:4] == ["drill-x-1"] * 3 + ["drill-x-2"]


def test_a_crowd_that_was_never_at_work_is_finished_at_once() -> None:
    crowd = Crowd(
        Client("http://127.0.0.1:1", "token"), RequestGenerator(GOODS, random.Random(1)), History()
    )
    crowd.finish()


def test_a_connection_that_ends_without_an_answer_is_no_answer() -> None:
    answer = Client("http://127.0.0.1:1", "token").send(Request("read", "", "GET", "/"))
    assert (answer.verdict, answer.status) == (Verdict.UNANSWERED, 0)


def test_the_relay_delays_every_piece_in_both_directions(gateway: ThreadingHTTPServer) -> None:
    with delayed(("127.0.0.1", gateway.server_port), 0.2) as port:
        client = Client(f"http://127.0.0.1:{port}", "token")
        began = time.monotonic()
        with ThreadPoolExecutor(4) as pool:
            requests = [Request("read", "", "GET", "/")] * 4
            answers = list(pool.map(client.send, requests))
        # the handshake, there, and back
        assert time.monotonic() - began >= 0.6
    assert {answer.status for answer in answers} == {202}


def test_the_relay_of_an_unavailable_address_ends_connections() -> None:
    with delayed(("127.0.0.1", 1), 0.01) as port:
        answer = Client(f"http://127.0.0.1:{port}", "token").send(Request("read", "", "GET", "/"))
    assert answer.verdict is Verdict.UNANSWERED


def test_rules_name_both_directions_of_one_address_only() -> None:
    rules = drops("t", ("127.0.0.11", 8080), "numgen random mod 100 < 5 ")
    assert "ip daddr 127.0.0.11 tcp dport 8080 numgen random mod 100 < 5 drop" in rules
    assert "ip saddr 127.0.0.11 tcp sport 8080 numgen random mod 100 < 5 drop" in rules
    assert "ip daddr 127.0.0.11 tcp dport 8080 redirect to :9" in redirection(
        "t", ("127.0.0.11", 8080), 9
    )


def test_a_family_is_a_process_and_all_below_it() -> None:
    async def family() -> tuple[list[int], int]:
        child = await asyncio.create_subprocess_exec("sh", "-c", "sleep 60 & wait")
        wait_until(lambda: len(processes.family(child.pid)) == 2, 10, "a grandchild")
        found = processes.family(child.pid)
        processes.signal_all(found, signal.SIGKILL)
        await child.wait()
        return found, child.pid

    found, child = asyncio.run(family())
    assert found[0] == child
    assert processes.family(0) == []
