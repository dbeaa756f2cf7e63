"""Faults under traffic: what was answered with 202 is recorded, once."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import psycopg2
import pytest
import requests

from tests.support.outages import killed, stopped
from tests.support.readiness import LOCK_MOVIES, ready
from tests.support.stack.bills_client import GOOD, NO_ANSWER, Bills, locked_bills
from tools.stack import processes
from tools.stack.layout import PROCESSES
from tools.stack.process_lookup import kill, pid
from tools.stack.stack import Stack
from tools.stack.waiting import wait_until

TRIES, HELD_UP_SECONDS = 5, 8.0  # on a machine that is busy with other things


def kill_while_progressing(bills: Bills, stack: Stack, name: str, goal: int) -> None:
    """Kill a process each time that it has got a bit further, three times at most."""
    kills, done = 0, 0
    while kills < 3 and done < goal:
        # which may be after RabbitMQ has started
        wait_until(lambda: len(bills.recorded()) > done, 180, f"{name} to go on")  # noqa: B023
        done = len(bills.recorded())
        if done < goal:
            kill(stack, name)
            kills += 1


def test_bills_wait_while_the_consumer_is_stopped_and_are_recorded_after(
    bills: Bills, stack: Stack
) -> None:
    stack.pm2("stop", "billing-consumer")
    for _ in range(20):
        assert bills.post().status_code == 202
    # or more: what is confirmed late is there a second time, by the outbox
    wait_until(lambda: bills.waiting() >= 20, 30, "20 messages in the queue")
    assert not bills.recorded()
    stack.pm2("restart", "billing-consumer")
    bills.wait_until_all_are_recorded()
    assert len(bills.recorded()) == 20


def test_a_stopped_broker_loses_and_repeats_no_bill(bills: Bills, stack: Stack) -> None:
    with bills.traffic():
        bills.wait_for_accepted(20)
        with stopped(stack.rabbitmq):
            bills.wait_for_accepted(20)
            assert bills.post().json()["stored_in"] == "outbox"
        bills.wait_for_accepted(50)
    bills.wait_until_all_are_recorded()
    assert not bills.refused


def test_a_killed_broker_costs_no_bill(bills: Bills, stack: Stack) -> None:
    with bills.traffic():
        bills.wait_for_accepted(20)
        with killed(stack.rabbitmq):
            bills.wait_for_accepted(20)
        bills.wait_for_accepted(50)
    bills.wait_until_all_are_recorded()
    assert not bills.refused


def test_a_consumer_killed_in_the_middle_of_its_work_records_each_bill_once(
    bills: Bills, stack: Stack
) -> None:
    stack.pm2("stop", "billing-consumer")
    for number in range(1500):
        bills.accepted.append(f"bill-{number}")
    bills.publish_many(bills.accepted)
    with locked_bills(stack):
        stack.pm2("start", "billing-consumer")
        wait_until(lambda: bills.waiting() < 1500, 60, "bills to be in hand")
        kill(stack, "billing-consumer")
    kill_while_progressing(bills, stack, "billing-consumer", goal=1500)
    bills.wait_until_all_are_recorded()
    assert len(bills.recorded()) == 1500


def test_a_relay_killed_in_the_middle_of_a_batch_loses_and_repeats_nothing(
    bills: Bills, stack: Stack
) -> None:
    stack.rabbitmq.stop()
    try:
        with ThreadPoolExecutor(8) as pool:
            # the answers are not kept: each would keep its connection open
            assert {*pool.map(lambda _: bills.post().status_code, range(1200))} == {202}
    finally:
        starting = threading.Thread(target=stack.rabbitmq.start)
        starting.start()
    try:
        kill_while_progressing(bills, stack, "gateway-relay", goal=1200)
    finally:
        starting.join()
    bills.wait_until_all_are_recorded()
    assert len(bills.recorded()) == 1200


@pytest.mark.parametrize("fault", ["restart", "kill"])
def test_an_unavailable_billing_database_delays_bills_and_makes_no_dead_letter(
    bills: Bills, stack: Stack, fault: str
) -> None:
    database = stack.postgres["billing"]
    with bills.traffic():
        bills.wait_for_accepted(20)
        if fault == "restart":
            database.restart()
        else:
            with killed(database):
                bills.wait_for_accepted(20)
        bills.wait_for_accepted(30)
    bills.wait_until_all_are_recorded()
    assert bills.waiting("billing_queue.dlq") == 0
    assert not bills.refused


def test_an_unavailable_gateway_database_affects_nothing_while_the_broker_runs(
    bills: Bills, stack: Stack
) -> None:
    with killed(stack.postgres["gateway"]):
        for _ in range(10):
            wait_until(lambda: bills.post().status_code == 202, 30, "a bill to be taken")
        assert set(bills.refused) <= {503}
        # one that was refused since its confirm came too late is in the queue
        bills.unanswered = len(bills.refused)
        with stopped(stack.rabbitmq):
            answer = bills.post()
            assert answer.status_code == 503
            assert "Retry-After" in answer.headers
    bills.wait_until_all_are_recorded()


def test_poison_among_good_messages_stops_none_of_them(bills: Bills) -> None:
    for number in range(30):
        bills.publish_by_hand(b"poison" if number % 10 == 5 else GOOD, f"hand-{number}")
    wait_until(lambda: len(bills.recorded()) == 27, 30, "the good ones to be recorded")
    wait_until(lambda: bills.waiting("billing_queue.dlq") == 3, 10, "the poison to be put aside")


def test_two_consumers_at_once_record_each_bill_once(bills: Bills, stack: Stack) -> None:
    stack.pm2("scale", "billing-consumer", "2")
    try:
        with bills.traffic(8):
            bills.wait_for_accepted(150)
        bills.wait_until_all_are_recorded()
    finally:
        stack.pm2("scale", "billing-consumer", "1")


def test_no_worker_of_a_killed_gateway_keeps_serving(bills: Bills, stack: Stack) -> None:
    master = pid(stack, "gateway")
    workers = processes.family(master)[1:]
    assert len(workers) == 2
    os.kill(master, signal.SIGKILL)
    wait_until(lambda: not any(map(processes.alive, workers)), 15, "the old workers to end")
    wait_until(lambda: _accepts(bills), 30, "the gateway to be back")
    assert pid(stack, "gateway") != master
    bills.wait_until_all_are_recorded()


def _accepts(bills: Bills) -> bool:
    try:
        return bills.post().status_code == 202
    except NO_ANSWER:
        bills.unanswered += 1
        return False


@pytest.mark.parametrize("process", ["gateway", "inventory-api"])
def test_a_stop_answers_the_requests_in_flight(
    stack: Stack,
    movies: str,
    bills: Bills,
    locked_movies: "psycopg2.extensions.connection",
    process: str,
) -> None:
    for _ in range(TRIES):
        locked_movies.cursor().execute(LOCK_MOVIES)
        with ThreadPoolExecutor(9) as pool:
            began = time.monotonic()
            # past the cache
            get = partial(requests.get, headers={"Cache-Control": "no-cache"}, timeout=20)
            in_flight = [pool.submit(get, movies) for _ in range(8)]
            try:
                wait_until(lambda: _waiting_for_lock(locked_movies) == 8, 10, "8 in flight")
                stopping = pool.submit(stack.pm2, "stop", process)
                wait_until(lambda: _refuses(stack, process), 30, "new connections to be refused")
            finally:
                locked_movies.rollback()
            held_up = time.monotonic() - began
            answers = [request.result() for request in in_flight]
            stopping.result()
        stack.pm2("start", process)
        # one that is held up for ten seconds has no other answer when nothing stops, either
        if held_up < HELD_UP_SECONDS:
            break
        wait_until(lambda: ready(stack), 60, "the stack to be whole again")
    assert [answer.status_code for answer in answers] == [200] * 8


def _waiting_for_lock(connection: "psycopg2.extensions.connection") -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        row: Any = cursor.fetchone()
        return int(row[0])


def _refuses(stack: Stack, process: str) -> bool:
    place = next(known for known in PROCESSES if known.name == process)
    try:
        requests.get(f"{stack.address(place)}/live", timeout=0.5)
    except requests.ConnectionError:
        return True
    except requests.Timeout:
        return False
    return False
