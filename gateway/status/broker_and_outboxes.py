"""RabbitMQ, its queues and the outboxes of a snapshot."""

from collections.abc import Iterator, Mapping
from typing import Any

from chassis.messaging.declarations import dead_letter_queue
from gateway.status import machines
from gateway.status.platform import Consumers, Machine, Platform, Process
from gateway.status.prober import Snapshot
from gateway.status.probes import UNKNOWN
from gateway.status.queues import DEAD_OR_IDLE, Depth


def rabbitmq(platform: Platform, snapshot: Snapshot) -> dict[str, Any]:
    """Describe the broker; the time is that of one reading of all queues."""
    depths, failure = snapshot.queues
    milliseconds = depths.milliseconds if depths else None
    status = {"machine": platform.broker_machine, "status": "up" if depths else "down"}
    return {**status, "milliseconds": milliseconds, "detail": failure}


def queues(platform: Platform, snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    """Describe the queues; an unknown figure is None."""
    if snapshot.queues.value is None:
        names = [*platform.consumed_queues(), *platform.others]
        yield from (_queue(name, "unknown", snapshot.queues.failure) for name in names)
        return
    depths = snapshot.queues.value.queues
    faults = queue_faults(platform, snapshot, depths)
    for consumers in platform.consumers():
        for name in consumers.queues:
            in_flight = _in_flight(consumers, name, depths.get(name), snapshot)
            dead = depths.get(dead_letter_queue(name))
            yield _described(name, depths.get(name), faults, in_flight, dead)
    for name in platform.others:
        depth = depths.get(name)
        # its consumers belong to others, and can't be asked
        in_flight = None if depth is None or depth.consumers else 0
        yield _described(name, depth, faults, in_flight)


def queue_faults(
    platform: Platform, snapshot: Snapshot, depths: Mapping[str, Depth | None]
) -> dict[str, str]:
    """Return why queues are down, by their names.

    RabbitMQ reports a dead quorum queue as empty and without consumers. Its consumer's own check
    decides. Where no consumer answers, the queue counts as dead while another queue is dead.
    """
    missing = {name: "RabbitMQ has no such queue." for name, depth in depths.items() if not depth}
    silent = {name for name, depth in depths.items() if depth == DEAD_OR_IDLE}
    words = {
        name: check
        for consumers in platform.consumers()
        for process in consumers.processes
        for name in silent.intersection(consumers.queues)
        if (check := _check(process, name, snapshot))
    }
    dead = {name: check["detail"] for name, check in words.items() if check["status"] == "down"}
    doubted = silent - words.keys() if dead else set()
    reason = f"RabbitMQ's queues are dead, as {', '.join(sorted(dead))} is."
    return missing | dict.fromkeys(doubted, reason) | dead


def outboxes(platform: Platform, snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    """Describe the outboxes; an unknown figure is None."""
    for machine in platform.machines:
        for process in machine.processes:
            if process.kind == "relay":
                where = {"process": process.name, "machine": machine.name}
                yield {**where, **_outbox(machine, process, snapshot)}


def _described(
    name: str,
    depth: Depth | None,
    faults: Mapping[str, str],
    in_flight: int | None,
    dead: Depth | None = None,
) -> dict[str, Any]:
    dead_lettered = dead.ready if dead and dead_letter_queue(name) not in faults else None
    if depth is None or name in faults:
        return _queue(name, "down", faults.get(name), dead_lettered=dead_lettered)
    return _queue(name, "up", None, depth, in_flight, dead_lettered)


def _queue(
    name: str,
    status: str,
    detail: str | None,
    depth: Depth | None = None,
    in_flight: int | None = None,
    dead_lettered: int | None = None,
) -> dict[str, Any]:
    return {
        "name": name,
        "status": status,
        "detail": detail,
        "ready": depth and depth.ready,
        "in_flight": in_flight,
        "dead_lettered": dead_lettered,
        "consumers": depth and depth.consumers,
    }


def _check(process: Process, queue: str, snapshot: Snapshot) -> Mapping[str, Any] | None:
    """Return a consumer's check of its queue; None if it reports none."""
    checks = machines.health(process, snapshot).checks
    # a process with several consumers names its checks by queue, see billing-consumer
    found: Mapping[str, Any] | None = checks.get(queue) or checks.get("rabbitmq")
    return found


def _in_flight(
    consumers: Consumers, queue: str, depth: Depth | None, snapshot: Snapshot
) -> int | None:
    if depth is None:
        return None
    counted: Mapping[str, int] = snapshot.in_flight.get(consumers.key, UNKNOWN).value or {}
    # a consumer that has ended has returned its messages to the queue
    return counted.get(queue) if depth.consumers else 0


def _outbox(machine: Machine, relay: Process, snapshot: Snapshot) -> dict[str, Any]:
    found = snapshot.outboxes.get(relay.key, UNKNOWN).value
    check = machines.health(relay, snapshot).checks.get(machine.database or "", {})
    # without its database a relay's figures are stale
    if found is None or check.get("status") != "up":
        return {"backlog": None, "lag_seconds": None}
    return dict(found._asdict())
