"""RabbitMQ, its queues and the outboxes, as a survey found them."""

from collections.abc import Iterator, Mapping
from typing import Any

from chassis.messaging.topology import dead_letter_queue
from gateway.status import machines
from gateway.status.platform import Consumers, Machine, Platform, Process
from gateway.status.probes import UNKNOWN
from gateway.status.queues import NO_LIFE, Depth
from gateway.status.snapshot import Survey


def rabbitmq(platform: Platform, survey: Survey) -> dict[str, Any]:
    """Describe the broker; the time is that of one look at all queues."""
    depths, failure = survey.queues
    milliseconds = depths.milliseconds if depths else None
    status = {"machine": platform.broker_machine, "status": "up" if depths else "down"}
    return {**status, "milliseconds": milliseconds, "detail": failure}


def queues(platform: Platform, survey: Survey) -> Iterator[dict[str, Any]]:
    """Describe the queues; what is not known of one is None."""
    if survey.queues.value is None:
        names = [*platform.consumed_queues(), *platform.others]
        yield from (_queue(name, "unknown", survey.queues.failure) for name in names)
        return
    depths = survey.queues.value.queues
    faults = queue_faults(platform, survey, depths)
    for consumers in platform.consumers():
        for name in consumers.queues:
            in_flight = _in_flight(consumers, name, depths.get(name), survey)
            dead = depths.get(dead_letter_queue(name))
            yield _described(name, depths.get(name), faults, in_flight, dead)
    for name in platform.others:
        depth = depths.get(name)
        # whoever consumes it is not ours to ask
        in_flight = None if depth is None or depth.consumers else 0
        yield _described(name, depth, faults, in_flight)


def queue_faults(
    platform: Platform, survey: Survey, depths: Mapping[str, Depth | None]
) -> dict[str, str]:
    """Return why queues are down, by their names.

    RabbitMQ declares a dead quorum queue as one that is empty and has no consumers. Its consumer
    knows better; where no consumer can say, the queue is taken for dead while another is.
    """
    missing = {name: "RabbitMQ has no such queue." for name, depth in depths.items() if not depth}
    silent = {name for name, depth in depths.items() if depth == NO_LIFE}
    words = {
        name: check
        for consumers in platform.consumers()
        for process in consumers.processes
        for name in silent.intersection(consumers.queues)
        if (check := _check(process, name, survey))
    }
    dead = {name: check["detail"] for name, check in words.items() if check["status"] == "down"}
    doubted = silent - words.keys() if dead else set()
    reason = f"RabbitMQ's queues are dead, as {', '.join(sorted(dead))} is."
    return missing | dict.fromkeys(doubted, reason) | dead


def outboxes(platform: Platform, survey: Survey) -> Iterator[dict[str, Any]]:
    """Describe the outboxes; what is not known of one is None."""
    for machine in platform.machines:
        for process in machine.processes:
            if process.kind == "relay":
                where = {"process": process.name, "machine": machine.name}
                yield {**where, **_outbox(machine, process, survey)}


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


def _check(process: Process, queue: str, survey: Survey) -> Mapping[str, Any] | None:
    """Return what a consumer says of its queue; None if it says nothing."""
    checks = machines.health(process, survey).checks
    # who consumes several names each, see billing-consumer
    found: Mapping[str, Any] | None = checks.get(queue) or checks.get("rabbitmq")
    return found


def _in_flight(consumers: Consumers, queue: str, depth: Depth | None, survey: Survey) -> int | None:
    if depth is None:
        return None
    counted: Mapping[str, int] = survey.in_flight.get(consumers.key, UNKNOWN).value or {}
    # what an ended consumer had in hand is ready again
    return counted.get(queue) if depth.consumers else 0


def _outbox(machine: Machine, relay: Process, survey: Survey) -> dict[str, Any]:
    found = survey.outboxes.get(relay.key, UNKNOWN).value
    check = machines.health(relay, survey).checks.get(machine.database or "", {})
    # without its database a relay goes on showing what it saw last
    if found is None or check.get("status") != "up":
        return {"backlog": None, "lag_seconds": None}
    return dict(found._asdict())
