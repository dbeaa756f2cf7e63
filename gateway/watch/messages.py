"""RabbitMQ, its queues and the outboxes, as a survey found them."""

from collections.abc import Iterator, Mapping
from typing import Any

from chassis.broker import dead_letter_queue
from gateway.watch import machines
from gateway.watch.platform import EVENTS_QUEUE, Machine, Platform, Process
from gateway.watch.queues import Depth
from gateway.watch.rounds import UNKNOWN
from gateway.watch.survey import Survey


def rabbitmq(survey: Survey) -> dict[str, Any]:
    """Describe the broker; the time is that of one look at all queues."""
    depths, failure = survey.queues
    milliseconds = depths.milliseconds if depths else None
    return {"status": "up" if depths else "down", "milliseconds": milliseconds, "detail": failure}


def queues(platform: Platform, survey: Survey) -> Iterator[dict[str, Any]]:
    """Describe the queues; what is not known of one is None."""
    depths = survey.queues.value.queues if survey.queues.value else {}
    for process in platform.consumers():
        for name in process.queues:
            in_flight = _in_flight(process, name, depths.get(name), survey)
            yield _queue(name, depths.get(name), in_flight, depths.get(dead_letter_queue(name)))
    events = depths.get(EVENTS_QUEUE)
    # whoever consumes them is not ours to ask
    yield _queue(EVENTS_QUEUE, events, None if events is None or events.consumers else 0, None)


def outboxes(platform: Platform, survey: Survey) -> Iterator[dict[str, Any]]:
    """Describe the outboxes; what is not known of one is None."""
    for machine in platform.machines:
        for process in machine.processes:
            if process.is_relay:
                yield {"process": process.name, **_outbox(machine, process, survey)}


def _queue(
    name: str, depth: Depth | None, in_flight: int | None, dead: Depth | None
) -> dict[str, Any]:
    return {
        "name": name,
        "ready": depth and depth.ready,
        "in_flight": in_flight,
        "dead_lettered": dead and dead.ready,
        "consumers": depth and depth.consumers,
    }


def _in_flight(process: Process, queue: str, depth: Depth | None, survey: Survey) -> int | None:
    if depth is None:
        return None
    counted: Mapping[str, int] = survey.in_flight.get(process.name, UNKNOWN).value or {}
    # what an ended consumer had in hand is ready again
    return counted.get(queue) if depth.consumers else 0


def _outbox(machine: Machine, relay: Process, survey: Survey) -> dict[str, Any]:
    found = survey.outboxes.get(relay.name, UNKNOWN).value
    check = machines.health(relay, survey).checks.get(machine.database, {})
    # without its database a relay goes on showing what it saw last
    if found is None or check.get("status") != "up":
        return {"backlog": None, "lag_seconds": None}
    return dict(found._asdict())
